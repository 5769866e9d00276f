"""A lifter as an ONNX file, which needs neither this project nor torch: windows of rays in, poses out.

Perspective crops, the network and the mirrored view are inside the graph, so that what is left to do outside is to
subtract the picture's centre, divide by the focal length and take windows (the README does it in numpy). The graph is
of one layout; it knows nothing of other windows, so that sequence-level refinement is not in it.
"""

import contextlib
import importlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lib.inference.predictions import body_scale
from lib.models.checkpoints import Checkpoint
from lib.models.lifters import LiftingModel, lift_poses
from lib.pose.crops import Rays, perspective_crops
from lib.pose.geometry import rotate
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.files import replacing

PACKAGES = "requirements-export.txt"
INPUTS = {
    "rays": "(x, y) = (X, Y) / Z of undistorted keypoints: (pixels - centre) / focal length; not a number: not seen",
    "std": "standard deviation of each ray's noise: that of the pixels / focal length; 0: exact, infinite: not seen",
}


class WindowPoses(NamedTuple):
    """The poses of windows' middle frames in the camera frame (x right, y down, z forward), relative to the pelvis.

    Lengths are in units of the pelvis's distance from the camera.
    """

    joints: Float[Tensor, "batch joint 3"]  # of Human3.6M's skeleton
    keypoints: Float[Tensor, "batch keypoint 3"]  # as the layout marks them
    joint_error: Float[Tensor, "batch joint"]  # how far off each is expected to be
    keypoint_error: Float[Tensor, "batch keypoint"]
    up: Float[Tensor, "batch 3"]  # the direction against gravity, of length 1
    root: Float[Tensor, "batch 3"]  # the direction from the camera to the pelvis, of length 1
    distance: Float[Tensor, " batch"]  # metres to the pelvis, if the bones add up to the prior's mean body's


class WindowLifter(nn.Module):
    """What `lib.inference.lifter.Lifter.lift_windows` computes, for windows of one layout."""

    def __init__(self, checkpoint: Checkpoint, layout: Layout, flip: bool) -> None:
        """`flip` averages with what the model says about the mirrored view.

        Raises:
            UserError: the checkpoint does not lift, or does not know the layout.
        """
        super().__init__()
        model = checkpoint.build()
        if not isinstance(model, LiftingModel):
            raise UserError(f"the checkpoint is for {checkpoint.task} and does not lift: name one that does")
        checkpoint.check_layout(layout)
        self.model, self.layout, self.flip = model, layout, flip
        self.normalization, self.body_size = checkpoint.normalization, checkpoint.body_size
        self.frames, self.interval_seconds = checkpoint.frames, checkpoint.interval_seconds
        self.eval()

    def forward(
        self, rays: Float[Tensor, "batch frame keypoint 2"], std: Float[Tensor, "batch frame keypoint"]
    ) -> WindowPoses:
        """Lift windows; see INPUTS. Keypoints that no frame of a window shows are guessed from the others."""
        seen = rays.isfinite().all(-1) & std.isfinite()
        visible = torch.where(seen[..., None], rays, 0.0)
        mean = visible.sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp_min(1)[..., None]
        placed = torch.where(rays.isfinite(), rays, mean)
        windows = Rays(placed, torch.where(seen, std, torch.inf), self.layout)
        poses = lift_poses(self.model, perspective_crops(windows, self.normalization), self.flip)
        to_camera = poses.rotation.mT
        points = rotate(to_camera, poses.points)
        joints, keypoints = slice(JOINTS), slice(JOINTS) if self.layout.exact else slice(JOINTS, None)
        return WindowPoses(
            points[:, joints],
            points[:, keypoints],
            poses.error[:, joints],
            poses.error[:, keypoints],
            up=rotate(to_camera, poses.up[:, None])[:, 0],
            root=poses.rotation[:, 2],
            distance=body_scale(points[:, joints], self.body_size),
        )

    def example(
        self, batch: int
    ) -> tuple[Float[Tensor, "batch frame keypoint 2"], Float[Tensor, "batch frame keypoint"]]:
        """Windows of nobody in particular, some of whose keypoints are hidden: rays and their noise."""
        generator = torch.Generator().manual_seed(0)
        shape = (batch, self.frames, len(self.layout))
        rays = 0.1 * torch.randn(*shape, 2, generator=generator)
        hidden = torch.rand(shape, generator=generator) < 0.1
        return rays, torch.full(shape, 1e-3).masked_fill(hidden, torch.inf)

    @property
    def about(self) -> dict[str, str]:
        """What stands in the file beside the graph; lists are JSON."""
        return {
            "layout": self.layout.name,
            "keypoints": json.dumps(self.layout.keypoints),
            "joints": json.dumps(H36M.names),
            "joint_parents": json.dumps(H36M.parents),
            "frames": str(self.frames),
            "middle": str(self.frames // 2),
            "interval_seconds": repr(self.interval_seconds),
            "body_size": repr(self.body_size),
            "flip": json.dumps(self.flip),
            "axes": "camera frame: x right, y down, z forward",
            "units": "joints, keypoints and errors: the pelvis's distance; distance: metres for bones of body_size",
        }


def write_onnx(path: Path, lifter: WindowLifter) -> None:
    """Write a lifter with any number of windows as its inputs' first axis, and what it is about as metadata.

    Raises:
        UserError: the packages for it are not installed.
    """
    for name in ("onnx", "onnxscript"):
        required(name)
    example = lifter.example(3)
    with torch.no_grad():
        lifter(*example)  # fills caches, which would else hold what only exists during an export
    batch = {0: torch.export.Dim("batch")}
    # Attention's own kernels give another order in memory than what ONNX knows them as.
    with _quiet(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        graph = torch.export.export(lifter, example, dynamic_shapes=(batch, batch))
        program = torch.onnx.export(
            graph, (), input_names=list(INPUTS), output_names=list(WindowPoses._fields), dynamo=True, verbose=False
        )
    assert program is not None
    # Every node holds the lines of code that it is from, with this machine's paths.
    required("onnx_ir.passes.common").ClearMetadataAndDocStringPass()(program.model)
    program.model.metadata_props.update(lifter.about)
    program.model.doc_string = "Lifts windows of 2D keypoints to 3D poses."
    for value in program.model.graph.inputs:
        value.doc_string = INPUTS[str(value.name)]
    with replacing(path) as temporary:
        program.save(str(temporary), external_data=False)


def required(name: str) -> Any:
    """A package that only exports need; raises UserError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"the package {name} is missing: pip install -r {PACKAGES}") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's words about itself, which no user can do anything about."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
