"""How likely a 2D pose is, learned from the 2D that there is: poses should look likely from other sides, too.

A normalizing flow over principal components of normalised crops, as in ElePose (Wandt et al., CVPR 2022), with affine
couplings (Dinh et al., Density estimation using Real NVP, ICLR 2017). It reads 2D alone.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.data.split import Split
from lib.pose.crops import Normalization, Rays, perspective_crops

COMPONENTS = 28  # at most: nearly all of the variance, for the rest tells bodies apart and not poses
COUPLINGS = 6
STEPS, BATCH = 1000, 512  # of learning the density of a split
HIDDEN = 128
JITTER = 0.02  # noise on the crops while the density is learned, in units of the crop
WORST = 5.0  # nats a component: what is less likely than that counts as this


class Plausibility(nn.Module):
    """A density of crops' keypoints; `fit` learns it, calling it scores."""

    mean: Tensor
    basis: Tensor

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.components = min(COMPONENTS, 2 * joints)
        self.register_buffer("mean", torch.zeros(2 * joints))
        self.register_buffer("basis", torch.zeros(2 * joints, self.components))
        self.couplings = nn.ModuleList(_Coupling(self.components) for _ in range(COUPLINGS))

    def forward(self, keypoints: Float[Tensor, "*batch joint 2"]) -> Float[Tensor, "*batch"]:
        """The negative log-likelihood of crops, in nats a component."""
        return -self._log_likelihood(keypoints).clamp_min(-WORST)

    def fit(
        self, keypoints: Float[Tensor, "frame joint 2"], steps: int, batch_size: int, generator: torch.Generator
    ) -> list[float]:
        """Learn the density of crops' keypoints, both ways round; returns the loss of every step, and freezes."""
        flat = keypoints.flatten(1)
        self.mean.copy_(flat.mean(0))
        rows = (flat - self.mean).repeat(-(-self.components // len(flat)), 1)  # as many as there are axes
        _, singular, axes = torch.linalg.svd(rows, full_matrices=False)
        deviation = (singular[: self.components] / math.sqrt(len(rows))).clamp_min(JITTER)
        self.basis.copy_((axes[: self.components] / deviation[:, None]).mT)
        optimizer = torch.optim.Adam(self.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        losses = []
        for _ in range(steps):
            chosen = torch.randint(len(flat), (batch_size,), generator=generator, device=flat.device)
            noise = torch.randn(batch_size, *keypoints.shape[1:], generator=generator, device=flat.device)
            loss = -self._log_likelihood(keypoints[chosen] + JITTER * noise).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        self.requires_grad_(False)
        return losses

    def _log_likelihood(self, keypoints: Float[Tensor, "*batch joint 2"]) -> Float[Tensor, "*batch"]:
        latent = (keypoints.flatten(-2) - self.mean) @ self.basis
        volume = latent.new_zeros(latent.shape[:-1])
        for coupling in self.couplings:
            latent, change = coupling(latent)
            volume = volume + change
        gaussian = -0.5 * (latent.square().sum(-1) + self.components * math.log(math.tau))
        likelihood: Tensor = (gaussian + volume) / self.components
        return likelihood


def fit_plausibility(split: Split, normalization: Normalization, seed: int, device: torch.device) -> Plausibility:
    """The density of a split's 2D: of whole bodies, unless they are too few to tell how bodies vary."""
    torch.manual_seed(seed)  # of the first weights, which take no generator
    density = Plausibility(len(split.skeleton)).to(device)
    split = split.sampled()
    seen = (split.confidence > 0).all(-1)  # what stands for a hidden joint is nobody's pose
    whole = seen if seen.sum() >= density.components else split.detected
    std = torch.where(split.confidence[whole] > 0, 0.0, torch.inf)[:, None]
    crops = perspective_crops(Rays(split.rays[whole][:, None], std, split.layout), normalization)
    density.fit(crops.keypoints[:, 0].to(device), STEPS, BATCH, torch.Generator(device).manual_seed(seed))
    return density


class _Coupling(nn.Module):
    """One half scales and moves the other; a fixed rotation mixes them, so that few couplings suffice."""

    mix: Tensor

    def __init__(self, components: int) -> None:
        super().__init__()
        half = components // 2
        last = nn.Linear(HIDDEN, 2 * half)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(half, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), last)
        self.register_buffer("mix", torch.linalg.qr(torch.randn(components, components))[0])

    def forward(self, latent: Float[Tensor, "*batch component"]) -> tuple[Tensor, Tensor]:
        """The transformed latent, and the log of how much it grows."""
        still, moved = (latent @ self.mix).chunk(2, dim=-1)
        scale, shift = self.net(still).chunk(2, dim=-1)
        scale = 2 * torch.tanh(scale / 2)
        return torch.cat([still, moved * scale.exp() + shift], dim=-1), scale.sum(-1)
