"""The networks there are, by name: a class each, with the class of its params inside it.

A network reads windows of points and their confidence and gives numbers; the task that it
is trained for says what they mean (see `lib.models.lifters` and `lib.models.reconstructors`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator

from lib.models.base import Network, WindowShape
from lib.models.transformer import Transformer
from lib.models.vit import Vit
from lib.runtime.params import Section, section

Size = Literal["small", "base", "large"]
NETWORKS: dict[str, Any] = {"transformer": Transformer, "vit": Vit}


def _known(name: str) -> str:
    if name not in NETWORKS:
        raise ValueError(f"must be one of {', '.join(NETWORKS)}")
    return name


class ModelParams(Section):
    """`model`: which network, and which of the sizes in its own section."""

    elsewhere: ClassVar[frozenset[str]] = frozenset(NETWORKS)

    name: Annotated[str, AfterValidator(_known)]
    size: Size


@dataclass(frozen=True)
class Architecture:
    """A network's name and its params."""

    name: str
    params: Section

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> "Architecture":
        """The one that params.yaml chooses; raises UserError as `section` does."""
        model = section(ModelParams, "model", params)
        return cls.named(model.name, model.size, params)

    @classmethod
    def named(cls, name: str, size: str, params: Mapping[str, Any]) -> "Architecture":
        """One of those in params.yaml, whichever it chooses."""
        return cls(name, section(NETWORKS[name].Params, f"model.{name}.{size}", params))

    @classmethod
    def load(cls, content: Mapping[str, Any]) -> "Architecture":
        """The one that `dump` wrote."""
        return cls(content["name"], NETWORKS[content["name"]].Params(**content["params"]))

    def dump(self) -> dict[str, Any]:
        """Plain values, for checkpoints and logs."""
        return {"name": self.name, "params": self.params.model_dump()}

    def build(self, windows: WindowShape, outputs: int) -> Network:
        """A new network."""
        network: Network = NETWORKS[self.name](self.params, windows, outputs)
        return network
