"""The skeleton: joint names, parents and mirror pairs. The only place with a joint order.

Human3.6M's 17 joints, in the order of its usual 32 -> 17 reduction. 'spine', 'thorax', 'neck' and 'head' are points of
the capture system's skeleton, not anatomical landmarks; 'neck' lies near the nose.
"""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints; `parents[root]` is -1. In H36M's, a parent precedes its children."""

    names: tuple[str, ...]
    parents: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """The index of a joint; a KeyError names what there is."""
        if name not in self.names:
            raise KeyError(f"no joint {name!r}; the skeleton has {', '.join(self.names)}")
        return self.names.index(name)

    @cached_property
    def root(self) -> int:
        """The joint without a parent."""
        return self.parents.index(-1)

    @cached_property
    def centre(self) -> tuple[int, ...]:
        """The joints whose mean a pose is centred on: the pelvis, without one both hips, without them the root."""
        hips = [i for i, name in enumerate(self.names) if name in ("left_hip", "right_hip")]
        return (self.root,) if "pelvis" in self.names or len(hips) < 2 else tuple(hips)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) of every bone, in joint order."""
        return tuple((joint, parent) for joint, parent in enumerate(self.parents) if parent >= 0)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """The permutation that swaps left and right joints."""
        swap = {"left": "right", "right": "left"}
        return tuple(
            self.index("_".join([swap.get(side, side), *rest])) for side, *rest in (n.split("_") for n in self.names)
        )

    @cached_property
    def mirror_bones(self) -> tuple[int, ...]:
        """The permutation that swaps left and right bones."""
        children = [child for child, _ in self.bones]
        return tuple(children.index(self.mirror[child]) for child in children)

    @cached_property
    def left(self) -> tuple[int, ...]:
        """The joints of the left side."""
        return tuple(i for i, name in enumerate(self.names) if name.startswith("left"))

    @cached_property
    def right(self) -> tuple[int, ...]:
        """The joints of the right side."""
        return tuple(i for i, name in enumerate(self.names) if name.startswith("right"))

    @cached_property
    def graph_distance(self) -> tuple[tuple[int, ...], ...]:
        """The number of bones on the way between any two joints."""
        count = len(self)
        distance = [[0 if i == j else count for j in range(count)] for i in range(count)]
        for child, parent in self.bones:
            distance[child][parent] = distance[parent][child] = 1
        for k in range(count):  # Floyd-Warshall: 17 joints, once
            for i in range(count):
                for j in range(count):
                    distance[i][j] = min(distance[i][j], distance[i][k] + distance[k][j])
        return tuple(map(tuple, distance))


H36M = Skeleton(
    names=(
        "pelvis",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "spine",
        "thorax",
        "neck",
        "head",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
)
