"""Made-up poses that the tests of pose share."""

import torch
from torch import Tensor


def poses(seed: int, *batch: int) -> Tensor:
    """Poses of about 1 m in front of a camera, 2 to 6 m away and anywhere in a wide view; float64, metres."""
    generator = torch.Generator().manual_seed(seed)
    body = 0.4 * torch.randn(*batch, 17, 3, generator=generator, dtype=torch.float64).clamp(-2, 2)
    where = torch.rand(*batch, 1, 3, generator=generator, dtype=torch.float64)
    depth = 2 + 4 * where[..., 2:]
    return body + torch.cat([(2 * where[..., :2] - 1) * depth, depth], dim=-1)


def is_rotation(matrix: Tensor) -> bool:
    identity = torch.eye(3, dtype=matrix.dtype).expand_as(matrix)
    return torch.allclose(matrix @ matrix.mT, identity, atol=1e-6) and bool((torch.linalg.det(matrix) > 0).all())
