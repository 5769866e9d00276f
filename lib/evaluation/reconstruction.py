"""How well a model reconstructs hidden points of a split, beside guesses that cost nothing, and examples of it."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.masked_windows import MaskedWindows, hidden_error, interpolated, masked, root_centred_points
from lib.data.masking import AnyKind, MaskingParams, hide, kinds_of
from lib.data.store import Split, opened
from lib.data.windows import WindowBatch, WindowParams, Windows
from lib.models.checkpoints import Checkpoint
from lib.models.reconstructors import ReconstructionModel
from lib.pose.skeleton import H36M
from lib.runtime.files import replacing
from lib.runtime.params import section

WINDOWS = 8192  # at most, evenly spread over the split
EXAMPLES = 6
MM = 1000.0
OTHERS = [joint for joint in range(len(H36M)) if joint != H36M.root]
COLUMNS = ("hidden", "joint", "unit", "model", "mean_pose", "interpolation")


@dataclass(frozen=True)
class ReconstructionResult:
    """What evaluate writes of a model that reconstructs."""

    metrics: dict[str, int | float | str]  # flat, for DVC
    table: pd.DataFrame  # COLUMNS: mean errors where a joint is hidden
    examples: MaskedWindows
    output: Float[Tensor, "window frame joint coord"]  # of the examples, in units of their scale


@torch.inference_mode()
def evaluate_reconstruction(
    checkpoint: Checkpoint, train: Split, test: Split, device: torch.device
) -> ReconstructionResult:
    """Hide each kind of thing in turn, and nothing, in windows of the test split; errors in pixels (2D) or mm (3D).

    The mean pose is that of the training split's windows, in units of a window's scale. Errors of 2D are in the pixels
    of each window's own camera. A split without 3D cannot be measured in 3D.
    """
    model = checkpoint.build().to(device)
    assert isinstance(model, ReconstructionModel)
    window = WindowParams(frames=checkpoint.frames, dilation=checkpoint.dilation, stride=1)
    masking = section(MaskingParams, "masking", {"masking": checkpoint.masking})
    windows = _spread(test, window).to(device)
    whole = root_centred_points(windows, model.coords)
    nothing = torch.zeros(whole.shape[:-1], dtype=torch.bool, device=device)
    mean = _mean_pose(root_centred_points(_spread(train, window).to(device), model.coords))
    unit = torch.full_like(whole[:, 0, 0, 0], MM) if model.coords == 3 else _pixels(test, window).to(device)
    name = "mm" if model.coords == 3 else "px"
    flat: dict[str, int | float | str] = {"windows": len(whole), "masked_share": masking.ratio[1]}
    rows = []
    for kind in kinds_of(whole.shape[1]):
        given = masked(whole, _hidden(kind, masking, whole))
        guesses = {
            "model": model(given.points, given.confidence, given.scale),
            "mean_pose": mean.expand_as(whole),
            "interpolation": interpolated(given.points, given.confidence, mean),
        }
        errors = {guess: hidden_error(points, given, unit) for guess, points in guesses.items()}
        flat |= {f"{kind}_{guess}_{name}": float(error[OTHERS].mean()) for guess, error in errors.items()}
        rows += [
            (kind, H36M.names[joint], name, *(float(error[joint]) for error in errors.values())) for joint in OTHERS
        ]
    visible = masked(whole, nothing)
    error = hidden_error(model(visible.points, visible.confidence, visible.scale), visible, unit)
    flat[f"visible_model_{name}"] = float(error[OTHERS].mean())
    shown = torch.linspace(0, len(whole) - 1, EXAMPLES).long()
    examples = masked(whole[shown], _hidden("mixed", masking, whole)[shown])
    output = model(examples.points, examples.confidence, examples.scale)
    return ReconstructionResult(flat, pd.DataFrame(rows, columns=pd.Index(COLUMNS)), examples, output)


def write_examples(path: Path, result: ReconstructionResult) -> None:
    """Write the examples to an HDF5 file in place of predicted poses."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for name, values in {**result.examples._asdict(), "output": result.output}.items():
            file.create_dataset(f"reconstruction/{name}", data=values.float().cpu().numpy())


def read_examples(path: Path) -> tuple[MaskedWindows, Float[Tensor, "window frame joint coord"]] | None:
    """What `write_examples` wrote, or None if the file holds predicted poses; raises UserError if it is missing."""
    with opened(path, "evaluate") as file:
        if "reconstruction" not in file:
            return None
        parts = {name: torch.from_numpy(values[:]) for name, values in file["reconstruction"].items()}
    output = parts.pop("output")
    return MaskedWindows(**parts), output


def _mean_pose(whole: Float[Tensor, "window frame joint coord"]) -> Float[Tensor, "joint coord"]:
    """In units of a window's scale."""
    nothing = torch.zeros(whole.shape[:-1], dtype=torch.bool, device=whole.device)
    return masked(whole, nothing).whole.nanmean((0, 1))


def _hidden(kind: AnyKind, masking: MaskingParams, whole: Tensor) -> Tensor:
    generator = torch.Generator(whole.device).manual_seed(0)
    return hide(kind, masking.ratio[1], masking.tubelet_frames, len(whole), whole.shape[1], generator)


def _spread(split: Split, window: WindowParams) -> WindowBatch:
    windows = Windows(split, window)
    return windows[windows.spread(WINDOWS)]


def _pixels(split: Split, window: WindowParams) -> Float[Tensor, " window"]:
    """Pixels that one unit of a ray is long, in the middle frames of the windows of `_spread`."""
    windows = Windows(split, window)
    middle = windows.middle[windows.spread(WINDOWS)]
    sizes = [(part[middle] - part[middle][:, :1]).square().sum((1, 2)).sqrt() for part in (split.keypoints, split.rays)]
    return sizes[0] / sizes[1].clamp_min(1e-6)
