"""Steps whose loss or gradient is not finite: no weight takes them in, and a run of too many of them ends.

Weights, the optimizer's averages and through them the teacher would be lost with the first such step. What is finite
is known where the gradient's norm is; on a GPU nobody waits for that: the optimizer itself leaves such a step out, and
steps are counted where the losses are read anyway.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from lib.runtime.errors import UserError
from lib.training.state import Progress

IN_A_ROW = 25  # steps that are skipped one after the other, after which a run ends; half precision takes some to begin
LEAST, SHARE = 100, 0.01  # and in all, whichever is more: so many, or so much of the steps so far


def guarded(loss: Tensor) -> Tensor:
    """The same loss, whose gradient is not finite either where it is not, on all processes that share gradients."""
    return loss * (1 + 0 * loss.detach())


class FiniteSteps:
    """Lets an optimizer make the steps that are finite, and counts the others in the progress of a run."""

    def __init__(self, optimizer: Optimizer, progress: Progress, scaled: bool, announce: Callable[[str], None]) -> None:
        """`scaled`: the losses are, for float16, and what scales them skips steps by itself, some of them always."""
        self._optimizer, self._progress, self._scaled, self._announce = optimizer, progress, scaled, announce
        self._finite: list[Tensor] = []  # of the steps since they were counted
        self._announced = scaled or progress.skipped > 0

    def allows(self, norm: Tensor) -> bool:
        """Whether to make the step whose gradient has this norm; on a GPU always, where it may come to nothing."""
        finite = norm.isfinite()
        self._finite.append(finite)
        if self._scaled:
            return True
        if finite.is_cuda:
            self._optimizer.found_inf = finite.logical_not().float()  # type: ignore[attr-defined]  # of fused ones
            return True
        return bool(finite)

    def count(self) -> None:
        """Count what was skipped, and say so the first time.

        Raises:
            UserError: they are too many.
        """
        progress, before = self._progress, self._progress.skipped
        for finite in torch.stack(self._finite).tolist():
            progress.skipped += not finite
            progress.skipped_in_a_row = 0 if finite else progress.skipped_in_a_row + 1
            if progress.skipped_in_a_row >= IN_A_ROW or progress.skipped >= max(LEAST, SHARE * progress.step):
                raise UserError(
                    f"training diverged: by step {progress.step}, {progress.skipped} steps were skipped whose loss or "
                    f"gradient is not finite, {progress.skipped_in_a_row} of them in a row; "
                    "lower training.lr, or finetune.lr while fine-tuning"
                )
        self._finite.clear()
        if progress.skipped > before and not self._announced:
            self._announced = True
            self._announce(
                f"by step {progress.step}, {progress.skipped} steps were skipped whose loss or gradient is not finite; "
                "training goes on, and its metrics count them (skipped_steps)"
            )
