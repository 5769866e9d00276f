"""Perspective crops: what a model reads of a picture, and how its depths become a pose.

The camera is turned so that the root's ray is its optical axis; the picture that results is centred on the root and
scaled. Nothing is approximated: a crop is the picture that a camera of the same centre, looking at the root, would
take. Crop frame: x right, y down, z forward, as the camera's, after the turn.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.pose.geometry import homogeneous, project, rotate, rotation_about
from lib.pose.skeleton import Skeleton

Normalization = Literal["rms", "max"]  # a crop's unit: the RMS or the largest distance of its joints from the root


class Crops(NamedTuple):
    """Normalised keypoints, of single frames or of windows, as a model reads them."""

    keypoints: Float[Tensor, "*batch joint 2"]  # root-centred rays divided by `scale`
    confidence: Float[Tensor, "*batch joint"]  # 0: hidden; up to 1: certain
    scale: Float[Tensor, "*batch"]  # RMS or largest length of the root-centred rays
    rotation: Float[Tensor, "*batch 3 3"]  # camera frame -> crop frame

    @property
    def detected(self) -> Bool[Tensor, "*batch"]:
        """The frames that show somebody; of the others, points and scale are stand-ins."""
        return (self.confidence > 0).any(-1)

    def middle(self) -> "Crops":
        """The middle frames of windows (batch, frame, ...), without the frame axis."""
        return Crops(*(part[:, part.shape[1] // 2] for part in self))


def perspective_crops(
    rays: Float[Tensor, "*batch joint 2"],
    confidence: Float[Tensor, "*batch joint"],
    skeleton: Skeleton,
    normalization: Normalization = "rms",
) -> Crops:
    """Turn the camera to the root, then centre and scale.

    The turn is a pan followed by a tilt, so a level camera sees the vertical in the crop's plane x = 0. Joints whose
    confidence is 0 have no part in the scale. The root's ray is the origin whether it is seen or not: of a root that is
    not, the store has a stand-in (see `lib.data.calibration`), and nothing here asks how good it is.
    """
    x, y = rays[..., skeleton.root, :].unbind(-1)
    pan = rotation_about("y", -torch.atan2(x, torch.ones_like(x)))
    tilt = rotation_about("x", torch.atan2(y, (x * x + 1).sqrt()))
    rotation = tilt @ pan
    turned = project(rotate(rotation, homogeneous(rays)))
    scale = crop_scale(turned, normalization, confidence > 0)
    return Crops(turned / scale[..., None, None], confidence, scale, rotation)


def crop_scale(
    centred: Float[Tensor, "*batch joint 2"],
    normalization: Normalization,
    seen: Bool[Tensor, "*batch joint"] | None = None,
) -> Float[Tensor, "*batch"]:
    """The RMS ('rms') or the largest ('max') length of the root-centred rays that are seen: a crop's unit.

    Where none is seen, all count: they are the store's stand-ins of a frame in which nobody was detected.
    """
    squares = centred.square().sum(-1)
    if seen is not None:
        seen = seen | ~seen.any(-1, keepdim=True)
        squares = torch.where(seen, squares, 0.0)
    count = squares.shape[-1] if seen is None else seen.sum(-1).clamp_min(1)
    return {"rms": squares.sum(-1) / count, "max": squares.amax(-1)}[normalization].sqrt().clamp_min(1e-6)


def unproject_crop(
    keypoints: Float[Tensor, "*batch joint 2"], scale: Float[Tensor, "*batch"], depth: Float[Tensor, "*batch joint"]
) -> Float[Tensor, "*batch joint 3"]:
    """The pose that a crop and relative depths stand for: root-centred, in the crop frame, in units of root depth.

    With X_i the joint, Z_0 the root's depth and d_i = Z_i / Z_0 - 1, which the model gives as `depth` = d_i / scale:
    (X_i - X_0) / Z_0 = (x_i (1 + d_i), d_i). Exact under perspective; only Z_0 stays unknown.
    """
    relative = depth * scale[..., None]
    rays = keypoints * scale[..., None, None]
    return torch.cat([rays * (1 + relative)[..., None], relative[..., None]], dim=-1)


def mirror(crops: Crops, skeleton: Skeleton) -> Crops:
    """The crops of the mirrored scene: x changes its sign, left and right joints their names."""
    order = torch.tensor(skeleton.mirror, device=crops.scale.device)
    sign = crops.keypoints.new_tensor([-1.0, 1.0])
    flip = crops.rotation.new_tensor([-1.0, 1.0, 1.0]).diag()
    return Crops(
        crops.keypoints[..., order, :] * sign, crops.confidence[..., order], crops.scale, flip @ crops.rotation @ flip
    )


def flip_some(crops: Crops, chosen: Bool[Tensor, " batch"], skeleton: Skeleton) -> Crops:
    """The same windows, the chosen ones mirrored."""
    pairs = zip(mirror(crops, skeleton), crops, strict=True)
    return Crops(*(torch.where(chosen.view(-1, *[1] * (plain.ndim - 1)), flipped, plain) for flipped, plain in pairs))
