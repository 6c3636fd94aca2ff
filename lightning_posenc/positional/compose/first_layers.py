"""An encoding in the first layers only."""

from dataclasses import replace
from functools import partial

from lightning_posenc.checks import is_a, made, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Factory, PositionalEncoding
from lightning_posenc.positional.compose.base import Switch


class FirstLayers(Switch):
    """An encoding in the first `n` layers, and none above.

    What position does not say above, only content and the mask can. The counterpart of
    re-injection (`layers=` of the absolute encodings): it shows how far a signal given early lasts.

    Args:
        dims: Sizes of the model.
        encoding: Makes the encoding.
        n: Layers that it serves, from 1 to the model's depth.

    Raises:
        ValueError: If the model has no `n` layers.
    """

    equation = (
        r"\text{encoding}(l) = \begin{cases} \text{the given one} & l < n \\"
        r" \text{none} & l \ge n \end{cases}"
    )

    def __init__(self, dims: Dims, encoding: Factory, n: int = 1) -> None:
        whole(self, "n", n, most=is_a(self, "dims", dims, Dims).n_layers)
        super().__init__(
            dims, [made(self, "encoding", encoding, PositionalEncoding, replace(dims, n_layers=n))]
        )
        self.n = n

    @classmethod
    def of(cls, encoding: Factory, n: int = 1) -> Factory:
        """Bind the encoding and leave the dims open."""
        return partial(cls, encoding=encoding, n=n)

    def serving(self, layer: int) -> tuple[int, int] | None:
        return (0, layer) if layer < self.n else None
