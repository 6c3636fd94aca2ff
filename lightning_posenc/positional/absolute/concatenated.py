"""Positions beside the tokens instead of on top of them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import made
from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.base import Absolute
from lightning_posenc.positional.absolute.sinusoidal import Sinusoidal
from lightning_posenc.positional.base import PositionalEncoding
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places


class Concatenated(Absolute):
    """Joins a position's vector to the token's channels, and maps both back to d_model.

    W [x_p ‖ PE(p)] + b, for the vectors PE of any absolute encoding; W, b learned.

    Adding is the case W = [I ‖ I]: here the model chooses into which channels position goes, and
    which of the tokens' it overwrites.

    Source: Jaegle et al. 2021, "Perceiver: General Perception with Iterative Attention",
    arXiv:2103.03206, where position features are concatenated to the input's.

    Deviation: projected back to d_model at once, by weights of each layer's own. They start as the
    identity on the tokens and N(0, 1/D) on positions, so that the stream passes unharmed.

    Args:
        dims: Sizes of the model.
        encoding: Makes the encoding whose vectors are concatenated; its own `layers` and `dropout`
            do nothing.
        layers: Before which blocks to concatenate and project, counted from 0.
        dropout: Probability, in training, of a token getting the zero vector as PE, in [0, 1).
    """

    source = Paper(
        "Jaegle et al.",
        2021,
        "Perceiver: General Perception with Iterative Attention",
        "2103.03206",
    )
    equation = r"x_p \leftarrow W \left[ x_p \,\Vert\, \mathrm{PE}(p) \right] + b"

    def __init__(
        self,
        dims: Dims,
        encoding: Callable[[Dims], Absolute] = Sinusoidal,
        layers: Sequence[int] = (0,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dims, layers, dropout)
        width = dims.d_model
        self.encoding = made(self, "encoding", encoding, PositionalEncoding, dims)
        if not isinstance(self.encoding, Absolute):
            raise ValueError(
                f"Concatenated: {type(self.encoding).__name__} has no vectors to concatenate; "
                "choose an absolute encoding (Sinusoidal, LearnedAbsolute, LearnableFourier)"
            )
        self.rows = {layer: row for row, layer in enumerate(sorted(self.layers))}
        tokens = torch.eye(width).expand(len(self.rows), -1, -1)
        self.projection = nn.Parameter(
            torch.cat((tokens, torch.randn(tokens.shape) * width**-0.5), dim=-1)
        )
        self.offset = nn.Parameter(torch.zeros(len(self.rows), width))

    def check(self, places: Places) -> None:
        self.encoding.check(places)

    def vectors(self, positions: Tensor) -> Tensor:
        return self.encoding.vectors(positions)

    def join(self, x: Tensor, vectors: Tensor, layer: int) -> Tensor:
        both = torch.cat((x, self.dropped(vectors.to(x.dtype).expand_as(x))), dim=-1)
        row = self.rows[layer]
        return F.linear(both, self.projection[row], self.offset[row]).to(x.dtype)

    def penalty(self) -> Tensor | None:
        return self.encoding.penalty()
