"""Where hidden points probably are, from the same joint's visible frames: the mean of a Gaussian process over time."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

FRAMES = 3.0  # over which motion is alike, before anything is learned
JITTER = 1e-4  # of the visible points' variance, which keeps the covariance invertible


class Completion(nn.Module):
    """Windows with hidden points -> whole ones; how frames of a window vary together is learned.

    Source: C. E. Rasmussen and C. K. I. Williams, Gaussian processes for machine learning, MIT Press 2006, eq. 2.23.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        time = torch.arange(frames)
        covariance = torch.exp(-0.5 * ((time[:, None] - time) / FRAMES).square()) + 0.01 * torch.eye(frames)
        self.factor = nn.Parameter(torch.linalg.cholesky(covariance))

    def forward(
        self, points: Float[Tensor, "batch frame joint coord"], confidence: Float[Tensor, "batch frame joint"]
    ) -> Float[Tensor, "batch frame joint coord"]:
        """Visible points as they are (confidence above 0); a joint that no frame shows is at the origin, the root."""
        seen = confidence > 0
        with torch.autocast(points.device.type, enabled=False):
            visible = seen.transpose(1, 2).float()  # (batch, joint, frame)
            paths = points.transpose(1, 2).float().masked_fill(visible[..., None] == 0, 0.0)
            mean = paths.sum(2, keepdim=True) / visible.sum(2).clamp_min(1)[..., None, None]
            covariance = self.factor @ self.factor.mT
            # Rows and columns of hidden frames become the identity's, so that one shape serves every mask.
            among = covariance * visible[..., None] * visible[..., None, :]
            among = among + torch.diag_embed(1 - visible) + JITTER * torch.eye(len(covariance), device=points.device)
            weights = torch.linalg.solve(among, (paths - mean) * visible[..., None])
            expected = mean + covariance @ weights
        return torch.where(seen[..., None], points, expected.transpose(1, 2).to(points))
