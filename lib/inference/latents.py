"""What a lifter makes of windows before it lifts them: its latents, as few numbers a window, with their labels."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.split import Split
from lib.data.transforms import InputPipeline
from lib.data.windows import Windows
from lib.models.lifters import LiftingModel

MOST = 1000  # windows
AXES = 32  # principal ones, of which TensorBoard shows the first three or what t-SNE makes of all
LABELS = ("action", "subject", "camera")


@torch.inference_mode()
def embed(
    model: LiftingModel, split: Split, inputs: InputPipeline
) -> tuple[Float[Tensor, "window axis"], list[str], list[list[str]]]:
    """Latents of windows evenly spread over a split, along their principal axes, and what is known of each window."""
    windows = Windows(split, inputs.window, detected_only=True)
    some = windows[windows.evenly_spaced(MOST)]
    crops = inputs.crops(inputs.rays(some.to(next(model.parameters()).device)))
    latents = model.network.latents(crops.keypoints, crops.confidence, crops.scale, crops.layout)
    rows = split.table.iloc[some.sequence.numpy()]
    labels = [[" ".join(str(label).split()) for label in row] for row in rows[list(LABELS)].to_numpy().tolist()]
    return principal(latents.flatten(1).float().cpu(), AXES), list(LABELS), labels


def principal(vectors: Float[Tensor, "row number"], axes: int) -> Float[Tensor, "row axis"]:
    """Vectors from their mean, along the axes of most variance."""
    centred = vectors - vectors.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    along: Tensor = centred @ directions[:axes].mT
    return along
