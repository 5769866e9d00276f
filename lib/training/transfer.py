"""The weights of one model for another: all of them or the encoder's, and a report of what was taken over."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from torch import Tensor, nn

from lib.runtime.errors import UserError

Part = Literal["all", "encoder"]
ENCODER = "network.encoder."
SHOWN = 3  # names in a message


class Transferred(NamedTuple):
    """Names of tensors."""

    loaded: tuple[str, ...]
    new: tuple[str, ...]  # the model's, which keep the values that they had
    unused: tuple[str, ...]  # the other model's

    def describe(self) -> str:
        """One line."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        parts += [f"{len(names)} {what} ({_some(names)})" for what, names in self._rest() if names]
        return ", ".join(parts)

    def _rest(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("new", self.new), ("not used", self.unused)


def transfer(weights: Mapping[str, Tensor], model: nn.Module, part: Part = "all", strict: bool = False) -> Transferred:
    """Load those of `weights` into a model that have a name and a shape of its own.

    Raises:
        UserError: nothing of the part fits; with `strict`, something does not. Nothing is loaded then.
    """
    own = model.state_dict()
    wanted = {name: value for name, value in own.items() if part == "all" or name.startswith(ENCODER)}
    fitting = {
        name: weights[name] for name, value in wanted.items() if name in weights and weights[name].shape == value.shape
    }
    if strict or not fitting:
        misfits = [_misfit(name, value, weights.get(name)) for name, value in wanted.items() if name not in fitting]
        misfits += [
            f"{name} has no place"
            for name in weights
            if name not in own and (part == "all" or name.startswith(ENCODER))
        ]
        if misfits:
            raise UserError(f"the checkpoint does not fit the model ({part}): {_some(misfits, '; ')}")
    model.load_state_dict(fitting, strict=False)
    return Transferred(
        loaded=tuple(fitting),
        new=tuple(name for name in own if name not in fitting),
        unused=tuple(name for name in weights if name not in fitting),
    )


def _misfit(name: str, own: Tensor, other: Tensor | None) -> str:
    if other is None:
        return f"{name} is missing"
    return f"{name} is {tuple(other.shape)} and must be {tuple(own.shape)}"


def _some(names: list[str] | tuple[str, ...], separator: str = ", ") -> str:
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return separator.join([*names[:SHOWN], *more])
