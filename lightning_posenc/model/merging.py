"""How neighbours of a grid become one wider token, between two stages.

Shapes: B images, R rows and S columns of a grid, T = R·S tokens of D channels, E channels of the
next stage, N class tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, number, whole
from lightning_posenc.positions import Places
from lightning_posenc.positions.places import behind_class_tokens, on_a_grid


class Merging(nn.Module, ABC):
    """Maps the tokens of a grid to fewer and wider ones.

    Args:
        d_in: D.
        d_out: E.
        std: Standard deviation of the map at initialisation, at least 0.
    """

    n_class_tokens: int = 0
    """N, tokens that it puts before those of the grid."""

    def __init__(self, d_in: int, d_out: int, std: float = 0.02) -> None:
        super().__init__()
        self.d_in = whole(self, "d_in", d_in, most=MOST_WIDTH)
        self.d_out = whole(self, "d_out", d_out, most=MOST_WIDTH)
        self.std = number(self, "std", std, 0)

    @abstractmethod
    def forward(self, x: Tensor, places: Places) -> tuple[Tensor, Places]:
        """Map (B, T, D) to (B, T', E), and say where the tokens then stand."""

    def cells(self, x: Tensor, places: Places) -> Tensor:
        """The tokens (B, T, D) on their grid: (B, R, S, D).

        Raises:
            ValueError: If there are others besides.
        """
        if places.grid is None or places.n_outside:
            raise ValueError(
                f"{type(self).__name__}: wants the tokens of a grid and no others: let the last "
                "stage alone have n_class_tokens"
            )
        return x.unflatten(1, places.grid)


class PatchMerging(Merging):
    """Four neighbours of a grid become one token: side by side, normed, and mapped linearly.

    A grid of an odd side is filled up with zeros. Source: Liu et al. 2021, "Swin Transformer",
    arXiv:2103.14030, section 3.1; the norm and the order of the four are the authors' code's.

    Args:
        d_in: D.
        d_out: E.
        std: Standard deviation of the map at initialisation, at least 0.
    """

    def __init__(self, d_in: int, d_out: int, std: float = 0.02) -> None:
        super().__init__(d_in, d_out, std)
        self.norm = nn.LayerNorm(4 * d_in)
        self.reduction = nn.Linear(4 * d_in, d_out, bias=False)
        nn.init.normal_(self.reduction.weight, std=std)

    def forward(self, x: Tensor, places: Places) -> tuple[Tensor, Places]:
        """Map (B, T, D) to (B, ⌈R/2⌉·⌈S/2⌉, E), and say where the tokens then stand."""
        cells = self.cells(x, places)
        n_rows, n_columns = cells.shape[1:3]
        cells = F.pad(cells, (0, 0, 0, n_columns % 2, 0, n_rows % 2))
        four = [cells[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged = torch.cat(four, dim=-1)
        n_rows, n_columns = merged.shape[1:3]
        x = self.reduction(self.norm(merged.flatten(1, 2)))
        return x, on_a_grid(n_rows, n_columns, x.device)


class PatchConvolution(Merging):
    """Each square of neighbours becomes one token, by a linear map of all of them, and is normed.

    Class tokens may stand before what comes of them, for a head that looks at the first.

    Source: Wang et al. 2021, "Pyramid Vision Transformer", arXiv:2102.12122, section 3.2, and
    section 4.1 (the class token of the last stage).

    Args:
        d_in: D.
        d_out: E.
        std: Standard deviation of the map and of class tokens at initialisation, at least 0.
        size: Tokens on a side of a square, at least 1.
        n_class_tokens: N, at least 0; of the last stage alone.

    Raises:
        ValueError: When called, on a grid that is not made of whole squares.
    """

    def __init__(
        self, d_in: int, d_out: int, std: float = 0.02, size: int = 2, n_class_tokens: int = 0
    ) -> None:
        super().__init__(d_in, d_out, std)
        self.size = whole(self, "size", size, most=1024)
        self.n_class_tokens = whole(self, "n_class_tokens", n_class_tokens, 0, MOST_WIDTH)
        self.project = nn.Conv2d(d_in, d_out, size, size)
        nn.init.normal_(self.project.weight, std=std)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]
        self.norm = nn.LayerNorm(d_out)
        self.class_tokens = nn.Parameter(torch.empty(self.n_class_tokens, d_out))
        nn.init.normal_(self.class_tokens, std=std)

    def forward(self, x: Tensor, places: Places) -> tuple[Tensor, Places]:
        """Map (B, T, D) to (B, N + T / size², E), and say where the tokens then stand."""
        cells = self.cells(x, places)
        if any(side % self.size for side in cells.shape[1:3]):
            raise ValueError(
                f"PatchConvolution: a grid of {cells.shape[1]} x {cells.shape[2]} tokens is not "
                f"made of whole squares of size={self.size}: choose a divisor, or resize the images"
            )
        cells = self.project(cells.permute(0, 3, 1, 2))
        patches = self.norm(cells.flatten(2).mT)
        leading = self.class_tokens.to(patches.dtype).expand(len(patches), -1, -1)
        places = on_a_grid(cells.shape[2], cells.shape[3], x.device)
        x = torch.cat((leading, patches), dim=1)
        return x, behind_class_tokens(places, self.n_class_tokens)


MergingFactory: TypeAlias = Callable[[int, int, float], Merging]
