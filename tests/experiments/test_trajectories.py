import pytest
import torch

from lib.data.split import Split
from lib.experiments.trajectories import COLUMNS, cells, trajectories
from lib.inference.lifter import Lifter
from lib.models.lifters import Poses
from lib.pose.geometry import root_centred
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from tests.inference.test_lifter import lifter
from tests.settings import synthetic_split


class Knowing(Lifter):
    """Knows where everybody is, but for the size, and is a little off in live windows."""

    def __init__(self, split: Split) -> None:
        super().__init__(lifter(frames=1)._checkpoint, torch.device("cpu"))
        assert split.positions is not None
        self.positions = split.positions

    def lift_windows(
        self,
        split: Split,
        batch_size: int = 4096,
        flip: bool = True,
        frames: torch.Tensor | None = None,
        live: bool = False,
    ) -> Poses:
        root = self.positions[:, H36M.root]
        distance = root.norm(dim=-1, keepdim=True)
        away = torch.nn.functional.normalize(root, dim=-1)
        side = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([[0.0, 1.0, 0.0]]), away), dim=-1)
        rotation = torch.stack([side, torch.linalg.cross(away, side), away], 1)  # to a camera that looks at the root
        points = root_centred(self.positions, H36M) / distance[..., None] @ rotation.mT
        points = torch.cat([points, points], 1)  # the joints, and the keypoints that mark them
        off = 0.01 * torch.randn(points.shape, generator=torch.Generator().manual_seed(0)) if live else 0.0
        up = (rotation @ torch.tensor([0.0, -1.0, 0.0])).contiguous()
        return Poses(points + off, torch.full_like(points[..., 0], 0.01), up, rotation)


def test_who_knows_everything_is_right_everywhere() -> None:
    split = synthetic_split(60, 40)
    table = trajectories(Knowing(split), split)
    value = dict(zip(table["measure"], table["value"], strict=True))
    assert list(table.columns) == list(COLUMNS)
    assert value["P-MPJPE of single windows"] < 0.1 < value["of live windows, which end with their frame"]
    assert value["error of up"] < 1
    assert table["value"][3] < 40  # mm: what smoothing takes of a quick motion
    assert [row[0] for row in cells(table)] == list(table["measure"])


def test_another_layout_is_one_line() -> None:
    with pytest.raises(UserError, match="need 3D of Human3"):
        trajectories(lifter(frames=1), synthetic_split(5, layout=LAYOUTS["coco"]))
