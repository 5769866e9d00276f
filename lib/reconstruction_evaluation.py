"""How well a model reconstructs hidden points of a split, beside guesses that cost nothing, and examples of it."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.checkpoints import Checkpoint
from lib.data.store import Split, opened
from lib.data.windows import WindowParams, Windows
from lib.files import replacing
from lib.gaps import interpolated
from lib.masking import AnyKind, MaskingParams, hide, kinds_of
from lib.models.reconstructors import ReconstructionModel
from lib.params import section
from lib.reconstruction import MaskedWindows, hidden_error, masked, root_centred_points
from lib.skeleton import H36M

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
    checkpoint: Checkpoint, train: Split, test: Split, device: torch.device, batch_size: int
) -> ReconstructionResult:
    """Hide each kind of thing in turn, and nothing, in windows of the test split; errors in pixels (2D) or mm (3D).

    The mean pose is that of the training split's windows, in units of a window's scale. Errors of 2D are in the pixels
    of each window's own camera. A split without 3D cannot be measured in 3D. Windows are those whose middle frame shows
    somebody; joints that were not seen do not count, and one that is hidden in no window has no row in the table.
    """
    model = checkpoint.build().to(device)
    assert isinstance(model, ReconstructionModel)
    window = WindowParams(frames=checkpoint.frames, dilation=checkpoint.dilation, stride=1)
    masking = section(MaskingParams, "masking", {"masking": checkpoint.masking})
    windows = Windows(test, window, shown=True)
    chosen = windows.spread(WINDOWS)
    whole = root_centred_points(windows[chosen].to(device), model.coords)
    nothing = torch.zeros(whole.shape[:-1], dtype=torch.bool, device=device)
    of_train = Windows(train, window, shown=True)
    mean = _mean_pose(root_centred_points(of_train[of_train.spread(WINDOWS)].to(device), model.coords))
    pixels = _pixels(test, windows.middle[chosen]).to(device)
    unit = torch.full_like(pixels, MM) if model.coords == 3 else pixels
    name = "mm" if model.coords == 3 else "px"
    flat: dict[str, int | float | str] = {"windows": len(whole), "masked_share": masking.ratio[1]}
    rows = []
    for kind in kinds_of(whole.shape[1]):
        given = masked(whole, _hidden(kind, masking, whole))
        guesses = {
            "model": _output(model, given, batch_size),
            "mean_pose": mean.expand_as(whole),
            "interpolation": interpolated(given.points, given.confidence, mean),
        }
        errors = {guess: hidden_error(points, given, unit) for guess, points in guesses.items()}
        flat |= {f"{kind}_{guess}_{name}": float(error[OTHERS].nanmean()) for guess, error in errors.items()}
        rows += [
            (kind, H36M.names[joint], name, *(float(error[joint]) for error in errors.values()))
            for joint in OTHERS
            if errors["model"][joint].isfinite()
        ]
    visible = masked(whole, nothing)
    error = hidden_error(_output(model, visible, batch_size), visible, unit)
    flat[f"visible_model_{name}"] = float(error[OTHERS].nanmean())
    shown = torch.linspace(0, len(whole) - 1, EXAMPLES).long()
    examples = masked(whole[shown], _hidden("mixed", masking, whole)[shown])
    output = _output(model, examples, batch_size)
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


def _output(
    model: ReconstructionModel, given: MaskedWindows, batch_size: int
) -> Float[Tensor, "window frame joint coord"]:
    """What a model makes of windows, so many at a time."""
    parts = (part.split(batch_size) for part in (given.points, given.confidence, given.scale))
    return torch.cat([model(*some) for some in zip(*parts, strict=True)])


def _mean_pose(whole: Float[Tensor, "window frame joint coord"]) -> Float[Tensor, "joint coord"]:
    """In units of a window's scale; a joint that was never seen is at the root."""
    nothing = torch.zeros(whole.shape[:-1], dtype=torch.bool, device=whole.device)
    return masked(whole, nothing).whole.nanmean((0, 1)).nan_to_num(0.0)


def _hidden(kind: AnyKind, masking: MaskingParams, whole: Tensor) -> Tensor:
    generator = torch.Generator(whole.device).manual_seed(0)
    return hide(kind, masking.ratio[1], masking.tubelet_frames, len(whole), whole.shape[1], generator)


def _pixels(split: Split, frames: Int[Tensor, " window"]) -> Float[Tensor, " window"]:
    """Pixels that one unit of a ray is long, in some frames: the ratio of how far seen joints lie from the root.

    Where the root is not seen, they are measured from their mean.
    """
    seen = (split.confidence[frames] > 0)[..., None]
    sizes = []
    for part in (split.keypoints[frames], split.rays[frames]):
        mean = torch.where(seen, part, 0.0).sum(1) / seen.sum(1).clamp_min(1)
        centre = torch.where(seen[:, H36M.root], part[:, H36M.root], mean)
        sizes.append(torch.where(seen, part - centre[:, None], 0.0).square().sum((1, 2)).sqrt())
    return sizes[0] / sizes[1].clamp_min(1e-6)
