"""A learned vector per position."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import number, one_of, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.base import Absolute
from lightning_posenc.positional.regularisers import roughness
from lightning_posenc.positional.resampling import Resize, ResizedTable
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places
from lightning_posenc.positions.recording import is_recorded


class LearnedAbsolute(ResizedTable, Absolute):
    """Adds a learned vector for each position.

    x_p + E[p], with a table E.

    Source: Gehring et al. 2017, "Convolutional Sequence to Sequence Learning", arXiv:1705.03122,
    section 3.1; Devlin et al. 2019, arXiv:1810.04805. Between whole positions the two neighbouring
    rows are interpolated. A checkpoint's table of another length is fitted when it is loaded.

    Args:
        dims: Sizes of the model.
        max_length: Rows of the table, at least 1: a hard maximum. Rows beyond the trained length
            are served, but nothing was learned there.
        layers: Before which blocks to add, counted from 0: the same vectors before each.
        std: Standard deviation at initialisation; None takes `dims.embed_std`, the token
            embeddings' own, since a table far below theirs hardly trains; at least 0.
        dropout: Probability, in training, of a token getting no position at all, in [0, 1).
        smoothness: Weight of a penalty on differences of neighbouring rows, mean squared norm;
            not negative.
        resize: What to do with a checkpoint's table of another length: "resample" stretches it
            (linearly), "extend" keeps its rows in place, with untrained ones beyond.

    Raises:
        ValueError: On a position beyond the table.
    """

    source = Paper(
        "Gehring et al.",
        2017,
        "Convolutional Sequence to Sequence Learning",
        "1705.03122",
        "section 3.1",
    )
    equation = r"x_p \leftarrow x_p + E_p"

    def __init__(
        self,
        dims: Dims,
        max_length: int = 512,
        layers: Sequence[int] = (0,),
        std: float | None = None,
        dropout: float = 0.0,
        smoothness: float = 0.0,
        resize: Resize = "resample",
    ) -> None:
        super().__init__(dims, layers, dropout)
        self.max_length = whole(self, "max_length", max_length)
        self.smoothness = number(self, "smoothness", smoothness, 0)
        self.resize = one_of(self, "resize", resize, ("resample", "extend"))
        self.table = nn.Parameter(torch.empty(max_length, dims.d_model))
        nn.init.normal_(
            self.table, std=number(self, "std", dims.embed_std if std is None else std, 0)
        )

    def check(self, places: Places) -> None:
        super().check(places)
        if not (places.within(0, self.max_length) or is_recorded()):
            self._check_rows(places.values)

    def vectors(self, positions: Tensor) -> Tensor:
        if not positions.is_floating_point():
            return F.embedding(positions, self.table)
        low = positions.floor().long().clamp(max=self.max_length - 1)
        high = (low + 1).clamp(max=self.max_length - 1)
        share = (positions - low).float().unsqueeze(-1)
        below, above = (F.embedding(row, self.table).float() for row in (low, high))
        return torch.lerp(below, above, share)

    def penalty(self) -> Tensor | None:
        return self.smoothness * roughness(self.table) if self.smoothness else None

    @torch.compiler.disable
    def _check_rows(self, positions: Tensor) -> None:
        low, high = positions.aminmax()
        # Past the last row, but before one more, the last row counts alone: `Interpolated` asks.
        if low < 0 or high >= self.max_length:
            raise ValueError(
                f"LearnedAbsolute: the table has max_length={self.max_length} rows, but a position "
                f"{high.item()} was asked for (lowest {low.item()}); raise max_length and train, "
                "shorten the sequences, or choose an encoding without a table (Sinusoidal, RoPE, "
                "ALiBi, T5Bias)"
            )
