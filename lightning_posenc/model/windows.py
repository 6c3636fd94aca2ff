"""Tokens of a grid that mix within windows, which every second layer shifts.

Shapes: B images, R rows and S columns of a grid, T = R·S tokens, W windows of w x w tokens,
D = d_model.
"""

from collections.abc import Callable
from typing import ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.dims import Dims
from lightning_posenc.masks import Documents, Visibility
from lightning_posenc.model.mixers.base import Context, Regrouped
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places, on_a_grid

Run: TypeAlias = Callable[[Tensor, Context, range], Tensor]
"""Runs the stream through the blocks of some layers."""


class Partition(NamedTuple):
    """How the tokens of a grid are cut into windows.

    Args:
        tokens: (W, w²), which token stands where.
        back: (T,), where in the windows each token stands.
        regions: (W, w²), which tokens of a window were neighbours before the shift; None if all.
    """

    tokens: Tensor
    back: Tensor
    regions: Tensor | None


class ShiftedWindows:
    """Tokens of a grid mix within windows of w x w; every second layer's windows lie half a window
    further down and to the right.

    What a shift brings together from opposite edges does not see each other. An encoding sees each
    token at its place within its window: one of offsets is the same as ever, one of places is not.
    A grid that is no larger than a window is one window, and not shifted. The cost of mixing grows
    with T in place of T².

    Source: Liu et al. 2021, "Swin Transformer", arXiv:2103.14030, sections 3.2 and 3.3. Deviation:
    grids that are not made of whole windows are refused, where the authors' code fills them up.

    Args:
        size: w, tokens on a side of a window, 1 to 1024.
    """

    source: ClassVar[Paper] = Paper(
        "Liu et al.",
        2021,
        "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
        "2103.14030",
        "sections 3.2 and 3.3",
    )

    def __init__(self, size: int = 7) -> None:
        self.size = whole(self, "size", size, most=1024)

    def check(self, dims: Dims, reversible: bool) -> None:
        """Refuse an encoder that asks for what goes with no windows.

        Args:
            dims: Sizes of the model.
            reversible: Whether its stream is one that is run backwards.

        Raises:
            ValueError: Naming it.
        """
        if dims.causal:
            raise ValueError(
                "ShiftedWindows: the tokens of a window have no past: give a model that is not "
                "causal"
            )
        if reversible:
            raise ValueError(
                "ShiftedWindows: windows cannot be run backwards: choose another residual"
            )

    def through(self, run: Run, n_layers: int, x: Tensor, context: Context) -> Tensor:
        """Run the stream (B, T, D) through all blocks.

        Args:
            run: Runs it through some.
            n_layers: How many there are.
            x: The stream before the first of them.
            context: What layers of all tokens share.

        Raises:
            ValueError: If the tokens are no whole grid, or it is not made of whole windows.
        """
        places = context.q_places
        if places.lengths is not None or places.documents is not None:
            raise ValueError("ShiftedWindows: serves neither padding nor packed documents")
        if places.grid is None or places.n_outside:
            raise ValueError(
                "ShiftedWindows: wants the tokens of a grid and no others: give Patches with "
                "n_class_tokens=0, or the positions Grid"
            )
        size = min(self.size, *places.grid)
        if any(side % size for side in places.grid):
            raise ValueError(
                f"ShiftedWindows: a grid of {places.grid[0]} x {places.grid[1]} tokens is not made "
                f"of whole windows of size={size}: choose a divisor, or resize the images"
            )
        shift = 0 if size == min(places.grid) else size // 2
        cuts = [partition(*places.grid, size, by, x.device) for by in (0, shift)]
        contexts = [
            self._within(context, cut, len(x), size)._replace(regrouped=Regrouped(places, cut.back))
            for cut in cuts
        ]
        for layer in range(n_layers):
            cut, inner = cuts[layer % 2], contexts[layer % 2]
            windows = x[:, cut.tokens].flatten(0, 1)  # (B·W, w², D)
            mixed = run(windows, inner, range(layer, layer + 1))
            x = mixed.unflatten(0, (len(x), -1)).flatten(1, 2)[:, cut.back]
        return x

    def _within(self, context: Context, cut: Partition, n_images: int, size: int) -> Context:
        """What layers share once tokens stand in windows."""
        device, n_tokens = cut.tokens.device, size**2
        places: Places = on_a_grid(size, size, device)
        with torch.autocast(device.type, enabled=False):
            prepared = context.positional.prepare(places, places)
        mask = None if cut.regions is None else Documents(cut.regions.repeat(n_images, 1))
        seen = Visibility(mask, n_tokens, n_tokens, device)
        return Context(
            context.positional, places, places, prepared, [seen], prepared_at_hand=prepared
        )


def partition(
    n_rows: int, n_columns: int, size: int, shift: int, device: torch.device
) -> Partition:
    """Cut a grid of whole windows, after a cyclic shift up and to the left."""
    tokens = torch.arange(n_rows * n_columns, device=device).view(n_rows, n_columns)
    tokens = _cut(tokens.roll((-shift, -shift), (0, 1)), size)
    back = tokens.flatten().argsort()
    if not shift:
        return Partition(tokens, back, None)
    rows, columns = (
        (torch.arange(n, device=device) >= n - shift).long() for n in (n_rows, n_columns)
    )
    return Partition(tokens, back, _cut(2 * rows[:, None] + columns, size))


def _cut(grid: Tensor, size: int) -> Tensor:
    """(R, S) to (W, w²)."""
    cells = grid.unflatten(1, (-1, size)).unflatten(0, (-1, size))  # (R/w, w, S/w, w)
    return cells.transpose(1, 2).flatten(2).flatten(0, 1)
