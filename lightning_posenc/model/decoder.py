"""An encoder that reads another sequence."""

from collections.abc import Callable
from typing import Any, cast

from lightning_posenc.checks import made
from lightning_posenc.dims import Dims
from lightning_posenc.model.block import Block
from lightning_posenc.model.encoder import Encoder, EncoderSpec
from lightning_posenc.model.memory import CrossReading
from lightning_posenc.model.sigma_reparam import reparametrise
from lightning_posenc.positional import NoPE
from lightning_posenc.positional.base import Factory
from lightning_posenc.positions import Positions


class Decoder(Encoder):
    """A stack of blocks, each of which reads another sequence between its mixer and its
    feed-forward.

    What it is called with is an `Encoder`'s, and the other sequence, `memory`. Source: Vaswani et
    al. 2017, arXiv:1706.03762, section 3.1.

    Args:
        dims: Sizes; causal if it writes its sequence token by token.
        positional: As in `Encoder`.
        positions: Likewise.
        cross: Makes what reads, of the dims: `CrossReading`, or it with a mixer and an encoding.
        sigma_reparam: As in `Encoder`.
        init_std: Likewise.
        wiring: Any other keyword argument of `Encoder`.

    Raises:
        ValueError: If an encoding makes no sense of two sequences; with a reversible residual,
            which would keep no gradient of the memory, or a funnel.
    """

    def __init__(
        self,
        dims: Dims,
        positional: Factory = NoPE,
        positions: Positions | None = None,
        *,
        cross: Callable[[Dims], CrossReading] = CrossReading,
        sigma_reparam: bool = False,
        init_std: float = 0.02,
        **wiring: Any,
    ) -> None:
        super().__init__(dims, positional, positions, init_std=init_std, **wiring)
        if self.reversible or self.funnel is not None:
            other = "a reversible residual" if self.reversible else "a funnel"
            raise ValueError(f"Decoder: reads no other sequence with {other}: leave that out")
        self.cross: CrossReading = made(self, "cross", cross, CrossReading, dims)
        for layer, each in enumerate(self.blocks):
            block = cast(Block, each)
            block.read_by(self.cross.mixer(layer))
            block.initialise(init_std)
        self.sigma_reparam = sigma_reparam
        if sigma_reparam:
            reparametrise(self.blocks)


def decoder_of(
    spec: EncoderSpec,
    positional: Factory,
    positions: Positions | None,
    cross: Callable[[Dims], CrossReading],
) -> Decoder:
    """Make a causal decoder of an encoder's description."""
    return Decoder(spec.dims(causal=True), positional, positions, cross=cross, **spec.wiring)
