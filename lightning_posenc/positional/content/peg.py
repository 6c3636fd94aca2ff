"""Positions by a convolution over the tokens themselves.

Shapes: B sequences, T tokens, D = d_model, W weights on an axis, A axes, N layers at which it acts.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import number, one_of, several, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding
from lightning_posenc.positional.content.convolution import on_both_sides, short_convolution
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places, raster


class PEG(PositionalEncoding):
    """Adds to each token a depthwise convolution of those near it, after the first block.

    x_t + c + sum over near s of w_(s-t) ⊙ x_s. Zeros beyond the edge tell where the edge is, and so
    where a token stands; any length and any grid are served. On two axes it is of W x W neighbours
    on the grid of tokens (`Patches`, the positions `Grid`), and class tokens are left alone; on
    one, of W neighbours in the sequence.
    Padding is no neighbour, nor are other documents; in a causal model no later token is, so that
    weights of later tokens are unused. Only which tokens are near is read, not the numbers.

    Source: Chu et al. 2021, "Conditional Positional Encodings for Vision Transformers" (CPVT),
    arXiv:2102.10882, section 3.2, with the sum of the authors' code. On one axis it is ours.

    Args:
        dims: Sizes of the model.
        axes: A, 2 for the tokens of a grid, 1 for those of a sequence.
        kernel_size: W, odd, 1 to 63.
        layers: Before which blocks, counted from 0, each with weights of its own; None for after
            the first block, as in the paper: before the second, or before the only one.
        init: Largest weight at initialisation, not negative; None for torch's W^(-A/2).

    Raises:
        ValueError: On tokens that are no whole grid, or packed documents on two axes.

    Example:
        `Encoder(dims, partial(PEG, axes=2))`, called with the `positions` of `Patches`.
    """

    shift_invariant = True

    source = Paper(
        "Chu et al.",
        2021,
        "Conditional Positional Encodings for Vision Transformers",
        "2102.10882",
        "section 3.2",
    )
    equation = r"x_t \leftarrow x_t + c + \sum_{s \text{ near } t} w_{s-t} \odot x_s"

    reads_places = True

    def __init__(
        self,
        dims: Dims,
        axes: int = 1,
        kernel_size: int = 3,
        layers: Sequence[int] | None = None,
        init: float | None = None,
    ) -> None:
        super().__init__(dims)
        self.axes: int = one_of(self, "axes", axes, (1, 2))
        if whole(self, "kernel_size", kernel_size, most=63) % 2 == 0:
            raise wrong(self, "kernel_size", kernel_size, "be odd: a token stands in the middle")
        last = dims.n_layers - 1
        given = (min(1, last),) if layers is None else several(self, "layers", layers)
        self.layers = sorted({whole(self, "layers", layer, 0, last) for layer in given})
        size, width = (kernel_size,) * axes, dims.d_model
        self.weight = nn.Parameter(torch.empty(len(self.layers), width, *size))
        self.offset = nn.Parameter(torch.empty(len(self.layers), width))
        most = kernel_size ** (-axes / 2) if init is None else number(self, "init", init, 0)
        for parameter in (self.weight, self.offset):
            nn.init.uniform_(parameter, -most, most)

    def check(self, places: Places) -> None:
        super().check(places)
        if self.axes == 1:
            return
        if places.documents is not None:
            raise ValueError(
                "PEG: packed documents are no grid: let tokens see across them "
                "(separate_documents=false), or set axes=1"
            )
        if raster(places) is None:
            raise ValueError(
                "PEG: wants the tokens of a whole grid, row by row, behind class tokens at most: "
                "give Patches or the positions Grid, or set axes=1"
            )

    def depends_on_length(self, places: Places) -> str | None:
        return "PEG: reads the stream of the tokens before, which no cache keeps"

    def embed(self, x: Tensor, positions: Tensor | Places, layer: int) -> Tensor:
        if layer not in self.layers:
            return x
        places = Places(positions) if isinstance(positions, Tensor) else positions
        number = self.layers.index(layer)
        with torch.autocast(x.device.type, enabled=False):
            wide = x.to(torch.promote_types(x.dtype, torch.float32))
            weight, bias = (each[number].to(wide) for each in (self.weight, self.offset))
            convolve = self._on_a_line if self.axes == 1 else self._on_a_grid
            return (wide + convolve(_real(wide, places), weight, bias, places)).to(x.dtype)

    def _on_a_line(self, x: Tensor, weight: Tensor, bias: Tensor, places: Places) -> Tensor:
        """What is added to the tokens (B, T, D) of sequences."""
        if self.dims.causal:
            half = weight.shape[1] // 2
            return short_convolution(x, weight[:, : half + 1], places.documents) + bias
        return on_both_sides(x, weight, places.documents) + bias

    def _on_a_grid(self, x: Tensor, weight: Tensor, bias: Tensor, places: Places) -> Tensor:
        """What is added to the tokens (B, T, D) of a grid, and 0 to those before them."""
        grid = raster(places)
        assert grid is not None, "checked once a forward"
        size = weight.shape[-1]
        if self.dims.causal:  # row by row, none after the middle one
            earlier = torch.arange(size**2, device=x.device) <= size**2 // 2
            weight = weight * earlier.view(size, size)
        cells = x[:, grid.n_outside :].mT.unflatten(-1, (grid.n_rows, grid.n_columns))
        mixed = F.conv2d(cells, weight.unsqueeze(1), bias, padding=size // 2, groups=len(weight))
        return F.pad(mixed.flatten(2).mT, (0, 0, grid.n_outside, 0))


def _real(x: Tensor, places: Places) -> Tensor:
    """The stream (B, T, D), zeros at padding."""
    if places.lengths is None:
        return x
    real = torch.arange(x.shape[1], device=x.device) < places.lengths.unsqueeze(1)
    return torch.where(real.unsqueeze(-1), x, 0)
