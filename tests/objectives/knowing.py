"""A model that knows the truth, with which objectives are tested."""

import torch

from lib.data.split import Split
from lib.models.lifters import Lifted
from lib.pose.crops import Rays, mirror_crops, perspective_crops
from lib.pose.geometry import project, rotate
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout


class Knowing(torch.nn.Module):
    """Knows the depths of a split: finds a window's middle frame, plain, mirrored or rolled, by its keypoints.

    Its level is that of the split's camera. Of another layout than Human3.6M's it knows the keypoints and the root.
    """

    def __init__(self, split: Split) -> None:
        super().__init__()
        assert split.positions is not None
        layout = split.layout
        plain = perspective_crops(Rays(split.rays[:, None], torch.zeros(len(split.rays), 1, len(layout)), layout))
        positions = rotate(plain.rotation[:, 0], split.positions)
        root = positions[:, list(layout.skeleton.centre)].mean(1)
        relative = (positions[..., 2] / root[:, 2:] - 1) / plain.scale
        mirrored, order = mirror_crops(plain), list(layout.skeleton.mirror)
        self.depths = torch.cat([relative, relative[:, order]])
        views = _complex(torch.cat([plain.keypoints[:, 0], mirrored.keypoints[:, 0]]))
        self.views = views / views.norm(dim=1, keepdim=True)
        seen = project(root) / plain.scale
        self.roots = _complex(torch.cat([seen, seen * seen.new_tensor([-1.0, 1.0])]))
        self.up = -torch.cat([plain.rotation[:, 0, :, 1], mirrored.rotation[:, 0, :, 1]])

    def forward(self, keypoints: torch.Tensor, confidence: torch.Tensor, scale: torch.Tensor, layout: Layout) -> Lifted:
        # A roll about the axis is a complex factor, which the size of the inner product forgets.
        product = _complex(keypoints[:, scale.shape[1] // 2]) @ self.views.mH
        found = product.abs().argmax(1, keepdim=True)
        roll, index = torch.sgn(product.gather(1, found))[:, 0], found[:, 0]
        depths, up = self.depths[index], self.up[index]
        depth = torch.cat([layout.of_joints(depths[..., None])[..., 0], depths], 1)
        correction = torch.zeros(len(index), JOINTS + len(layout), 2)
        if "pelvis" not in layout.landmarks:
            correction[:, 0] = torch.view_as_real(roll * self.roots[index])
        rolled = torch.view_as_real(roll * _complex(up[:, :2]))
        return Lifted(depth, correction, torch.ones_like(depth), torch.cat([rolled, up[:, 2:]], 1))


def _complex(points: torch.Tensor) -> torch.Tensor:
    return torch.view_as_complex(points.contiguous())
