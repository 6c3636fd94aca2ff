"""One of several stages of an encoder, but for what all of them share."""

from dataclasses import replace
from typing import final

from lightning_posenc.checks import MOST_WIDTH, whole
from lightning_posenc.dims import Dims


@final
class Stage:
    """Blocks behind the first ones, over a quarter of the tokens that the stage before it has.

    Args:
        n_layers: Number of blocks.
        d_model: Width; None for twice that of the stage before.
        n_heads: Number of attention heads; None for twice those of the stage before.
    """

    def __init__(
        self, n_layers: int = 2, d_model: int | None = None, n_heads: int | None = None
    ) -> None:
        self.n_layers = whole(self, "n_layers", n_layers, most=10_000)
        self.d_model = d_model
        if d_model is not None:
            whole(self, "d_model", d_model, most=MOST_WIDTH)
        self.n_heads = n_heads
        if n_heads is not None:
            whole(self, "n_heads", n_heads)

    def dims(self, before: Dims) -> Dims:
        """Its sizes, behind a stage of these."""
        return replace(
            before,
            d_model=2 * before.d_model if self.d_model is None else self.d_model,
            n_heads=2 * before.n_heads if self.n_heads is None else self.n_heads,
            n_layers=self.n_layers,
        )
