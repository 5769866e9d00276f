"""How well a model reconstructs hidden points of a split, beside guesses that cost nothing, and examples of it."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.data.checked import Shape, check_array, check_group
from lib.data.masked_windows import MaskedWindows, Reconstruction, masked, root_centred_points
from lib.data.masking import AnyKind, MaskingParams, hide, kinds_of
from lib.data.split import Split
from lib.data.store import opened, read_skeleton, write_skeleton
from lib.data.windows import WindowParams, Windows, evenly_spaced
from lib.models.checkpoints import Checkpoint
from lib.models.reconstructors import ReconstructionModel
from lib.pose.skeleton import Skeleton
from lib.runtime.files import replacing
from lib.runtime.params import section
from lib.sequences.gaps import interpolated

WINDOWS = 8192  # at most, evenly spread over the split
EXAMPLES = 6
EXAMPLE_PARTS = ("whole", "hidden", "output")
MM = 1000.0
COLUMNS = ("hidden", "joint", "unit", "model", "mean_pose", "interpolation")


@dataclass(frozen=True)
class ReconstructionResult:
    """What evaluate writes of a model that reconstructs."""

    metrics: dict[str, int | float | str]  # flat, for DVC
    table: pd.DataFrame  # COLUMNS: mean errors where a joint is hidden
    examples: Reconstruction


@torch.inference_mode()
def evaluate_reconstruction(
    checkpoint: Checkpoint, train: Split, test: Split, device: torch.device, batch_size: int
) -> ReconstructionResult:
    """Hide each kind of thing in turn, and nothing, in windows of the test split; errors in pixels (2D) or mm (3D).

    The mean pose is that of the training split's windows, in units of a window's scale. Errors of 2D are in the pixels
    of each window's own camera. A split without 3D cannot be measured in 3D. Windows are those whose middle frame shows
    somebody; joints that were not seen do not count, and one that is hidden in no window has no row in the table.
    """
    checkpoint.check_layout(test.layout)
    skeleton = test.skeleton
    others = [joint for joint in range(len(skeleton)) if joint != skeleton.root]
    model = checkpoint.build().to(device)
    assert isinstance(model, ReconstructionModel)
    window = WindowParams(frames=checkpoint.frames, interval_seconds=checkpoint.interval_seconds)
    masking = section(MaskingParams, "masking", {"masking": checkpoint.masking})
    windows = Windows(test, window, detected_only=True)
    chosen = windows.evenly_spaced(WINDOWS)
    whole = root_centred_points(windows[chosen].to(device), model.coords, skeleton)
    nothing = torch.zeros(whole.shape[:-1], dtype=torch.bool, device=device)
    of_train = Windows(train, window, detected_only=True)
    clips = of_train[of_train.evenly_spaced(WINDOWS)].to(device)
    mean = _mean_pose(root_centred_points(clips, model.coords, skeleton))
    pixels = _pixels(test, windows.middle(chosen)).to(device)
    unit = torch.full_like(pixels, MM) if model.coords == 3 else pixels
    name = "mm" if model.coords == 3 else "px"
    flat: dict[str, int | float | str] = {"windows": len(whole), "masked_share": masking.ratio[1]}
    rows = []
    for kind in kinds_of(whole.shape[1]):
        given = masked(whole, _hidden(kind, masking, whole, skeleton))
        guesses = {
            "model": _output(model, given, batch_size),
            "mean_pose": mean.expand_as(whole),
            "interpolation": interpolated(given.points, given.confidence, mean),
        }
        errors = {guess: hidden_error(points, given, unit, skeleton) for guess, points in guesses.items()}
        flat |= {f"{kind}_{guess}_{name}": float(error[others].nanmean()) for guess, error in errors.items()}
        rows += [
            (kind, skeleton.names[joint], name, *(float(error[joint]) for error in errors.values()))
            for joint in others
            if errors["model"][joint].isfinite()
        ]
    visible = masked(whole, nothing)
    error = hidden_error(_output(model, visible, batch_size), visible, unit, skeleton)
    flat[f"visible_model_{name}"] = float(error[others].nanmean())
    shown = evenly_spaced(len(whole), EXAMPLES)
    examples = masked(whole[shown], _hidden("mixed", masking, whole, skeleton)[shown])
    output = _output(model, examples, batch_size)
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    return ReconstructionResult(flat, table, Reconstruction.of(examples, output, skeleton))


def write_examples(path: Path, examples: Reconstruction) -> None:
    """Write examples to an HDF5 file in place of predicted poses."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        write_skeleton(file, examples.skeleton)
        for name in EXAMPLE_PARTS:
            file.create_dataset(f"reconstruction/{name}", data=getattr(examples, name).numpy())


def read_examples(path: Path) -> Reconstruction | None:
    """What `write_examples` wrote, or None if the file holds predicted poses; raises UserError if it is missing."""
    with opened(path, "evaluate") as file:
        if "reconstruction" not in file:
            return None
        group, skeleton = check_group(file, "reconstruction"), read_skeleton(file)
        points: Shape = (None, None, len(skeleton))
        check_array(group, "hidden", points, ("b",))
        for name in ("whole", "output"):
            check_array(group, name, (*points, None), ("f4",))
        parts = {name: torch.from_numpy(group[name][:]) for name in EXAMPLE_PARTS}
        if not parts["whole"].shape == parts["output"].shape == (*parts["hidden"].shape, parts["whole"].shape[-1]):
            raise ValueError("windows of different shapes")
        return Reconstruction(skeleton=skeleton, **parts)


def hidden_error(
    predicted: Float[Tensor, "window frame joint coord"],
    windows: MaskedWindows,
    unit: Float[Tensor, " window"],
    skeleton: Skeleton,
) -> Float[Tensor, " joint"]:
    """The mean distance of each joint where it is hidden, or everywhere if nothing is; `unit` is that of a scale of 1.

    Points that are not known do not count. Not a number where there is none: of a joint that was never seen, or is
    hidden in no window. The root, which is 0 by centring, counts as 0.
    """
    distance = torch.linalg.vector_norm(predicted - windows.whole, dim=-1) * (windows.scale * unit[:, None])[..., None]
    distance[..., skeleton.root] = 0
    known, counted = windows.whole.isfinite().all(-1), windows.confidence == 0
    counted = (counted if (counted & known).any() else torch.ones_like(counted)) & known
    error: Tensor = (distance.nan_to_num(0.0) * counted).sum((0, 1)) / counted.sum((0, 1))
    return error


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


def _hidden(kind: AnyKind, masking: MaskingParams, whole: Tensor, skeleton: Skeleton) -> Tensor:
    generator = torch.Generator(whole.device).manual_seed(0)
    windows, frames = whole.shape[:2]
    return hide(kind, masking.ratio[1], masking.tubelet_frames, (windows, frames), skeleton, generator)


def _pixels(split: Split, frames: Int[Tensor, " window"]) -> Float[Tensor, " window"]:
    """Pixels that one unit of a ray is long, in some frames: the ratio of how far seen joints lie from the root.

    Where the root is not seen, they are measured from their mean.
    """
    seen, root = (split.confidence[frames] > 0)[..., None], split.skeleton.root
    sizes = []
    for part in (split.keypoints[frames], split.rays[frames]):
        mean = torch.where(seen, part, 0.0).sum(1) / seen.sum(1).clamp_min(1)
        centre = torch.where(seen[:, root], part[:, root], mean)
        sizes.append(torch.where(seen, part - centre[:, None], 0.0).square().sum((1, 2)).sqrt())
    return sizes[0] / sizes[1].clamp_min(1e-6)
