"""The transformer of body blocks: a joint's token holds its whole window, so that time costs next to nothing."""

from jaxtyping import Float
from torch import Tensor, nn

from lib.models.base import AttentionParams, Network, WindowShape
from lib.models.blocks import BodyBlock
from lib.models.heads import BodyHead
from lib.models.tokens import BodyTokens
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout
from lib.pose.skeleton import H36M


class Transformer(Network):
    """Body blocks on a token a joint."""

    class Params(AttentionParams):
        """`model.transformer.SIZE`: tokens are a joint's, feed-forward layers the whole body's."""

    def __init__(self, params: Params, windows: WindowShape, outputs: int) -> None:
        super().__init__()
        self.encoder = _Encoder(params, windows)
        self.decoder = nn.Sequential(*_blocks(params, params.decoder_depth), BodyHead(JOINTS * params.width, outputs))


class _Encoder(nn.Module):
    """Points and their confidence -> a latent for every joint."""

    def __init__(self, params: Transformer.Params, windows: WindowShape) -> None:
        super().__init__()
        frames, coords, layouts = windows
        self.tokens = BodyTokens(params.width, frames, coords, layouts)
        self.blocks = nn.Sequential(*_blocks(params, params.encoder_depth))

    def forward(
        self,
        points: Float[Tensor, "batch frame keypoint coord"],
        confidence: Float[Tensor, "batch frame keypoint"],
        scale: Float[Tensor, "batch frame"],
        layout: Layout,
    ) -> Float[Tensor, "batch joint width"]:
        encoded: Tensor = self.blocks(self.tokens(points, confidence, scale, layout))
        return encoded


def _blocks(params: Transformer.Params, depth: int) -> list[BodyBlock]:
    return [BodyBlock(H36M, params.width, params.heads, params.hidden, params.dropout) for _ in range(depth)]
