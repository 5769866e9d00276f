"""The skeleton's derived tables, against scipy and against what they mean."""

import numpy as np
import pytest
from scipy.sparse.csgraph import shortest_path

from lib.pose.skeleton import H36M


def test_a_parent_precedes_its_children() -> None:
    assert len(H36M) == len(set(H36M.names)) == len(H36M.parents) == 17
    assert H36M.names[H36M.root] == "pelvis"
    assert all(parent < joint for joint, parent in enumerate(H36M.parents))
    assert len(H36M.bones) == 16
    assert all(H36M.parents[child] == parent for child, parent in H36M.bones)


def test_index_names_what_there_is() -> None:
    assert [H36M.index(name) for name in H36M.names] == list(range(17))
    with pytest.raises(KeyError, match="left_toe.*pelvis.*right_wrist"):
        H36M.index("left_toe")


def test_mirror_swaps_left_and_right() -> None:
    for joint, other in enumerate(H36M.mirror):
        name = H36M.names[joint]
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert H36M.names[other] == swapped
        assert H36M.mirror[other] == joint
    assert {H36M.mirror[joint] for joint in H36M.left} == set(H36M.right)
    assert len(H36M.left) == len(H36M.right) == 6


def test_a_mirrored_bone_joins_the_mirrored_joints() -> None:
    for bone, other in enumerate(H36M.mirror_bones):
        child, parent = H36M.bones[bone]
        assert H36M.bones[other] == (H36M.mirror[child], H36M.mirror[parent])


def test_graph_distance_is_the_shortest_path() -> None:
    adjacency = np.zeros((17, 17))
    for child, parent in H36M.bones:
        adjacency[child, parent] = 1
    np.testing.assert_array_equal(H36M.graph_distance, shortest_path(adjacency, directed=False))
    assert H36M.graph_distance[H36M.index("left_wrist")][H36M.index("right_ankle")] == 8
