"""One of several stages of an encoder, but for what all of them share."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

from lightning_posenc.checks import MOST_WIDTH, whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.feed_forward import FeedForwardFactory
from lightning_posenc.model.merging import MergingFactory, PatchMerging
from lightning_posenc.model.mixers import MixerFactory
from lightning_posenc.positional.base import Factory


@final
class Stage:
    """Blocks behind the first ones, over a quarter of the tokens that the stage before it has.

    A Swin names numbers of layers alone; a PVT says what differs from stage to stage besides.

    Args:
        n_layers: Number of blocks.
        d_model: Width; None for twice that of the stage before.
        n_heads: Number of attention heads; None for twice those of the stage before.
        merging: Makes what maps the tokens of the stage before to these: PatchMerging, or
            PatchConvolution.
        mixer: As `Encoder` takes it; None for the first stage's.
        feed_forward: As `Encoder` takes it; None for the first stage's.
        positional: Makes the encoding of this stage; None for as the first stage's is made.
    """

    def __init__(
        self,
        n_layers: int = 2,
        d_model: int | None = None,
        n_heads: int | None = None,
        *,
        merging: MergingFactory = PatchMerging,
        mixer: MixerFactory | Sequence[MixerFactory] | None = None,
        feed_forward: FeedForwardFactory | None = None,
        positional: Factory | None = None,
    ) -> None:
        self.n_layers = whole(self, "n_layers", n_layers, most=10_000)
        self.d_model = d_model
        if d_model is not None:
            whole(self, "d_model", d_model, most=MOST_WIDTH)
        self.n_heads = n_heads
        if n_heads is not None:
            whole(self, "n_heads", n_heads)
        self.merging = merging
        self.positional = positional
        given = {"mixer": mixer, "feed_forward": feed_forward}
        self.wiring: dict[str, Any] = {
            name: make for name, make in given.items() if make is not None
        }

    def dims(self, before: Dims) -> Dims:
        """Its sizes, behind a stage of these."""
        return replace(
            before,
            d_model=2 * before.d_model if self.d_model is None else self.d_model,
            n_heads=2 * before.n_heads if self.n_heads is None else self.n_heads,
            n_layers=self.n_layers,
        )
