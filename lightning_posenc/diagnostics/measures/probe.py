"""Can a linear probe read a token's position off the model's states?

Shapes: B and N sequences, T tokens, D channels.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked, number
from lightning_posenc.diagnostics.observing.observe import Observation
from lightning_posenc.positions.places import OUTSIDE

HELD_OUT = 4  # a probe is tried on every fourth sequence, and fitted to the others


class ProbeResult(NamedTuple):
    """How well a probe tells positions on held-out sequences.

    Args:
        mae: Mean |predicted - true| position, in tokens, predictions clipped to [0, T - 1]: 0 is
            perfect, T/4 is chance (always the middle). (A uniform guess has T/3.)
        r2: 1 - Σ (y - ŷ)² / Σ (y - ȳ)²: 1 is perfect, 0 chance, below it worse than the middle.
    """

    mae: Tensor
    r2: Tensor


class Ridge(NamedTuple):
    """A fitted linear map from channels to a number."""

    weight: Tensor  # (D,)
    middle: Tensor  # (D,) mean of the channels
    intercept: Tensor  # ()

    def __call__(self, x: Tensor) -> Tensor:
        """Predict: (n, D) to (n,)."""
        return (x.double() - self.middle) @ self.weight + self.intercept


@torch.no_grad()
def fit_ridge(x: Tensor, y: Tensor, ridge: float) -> Ridge:
    """Closed form, in float64: w = (ZᵀZ + λ n I)⁻¹ Zᵀ(y - ȳ) on channels of unit variance.

    Args:
        x: (n, D).
        y: (n,).
        ridge: λ > 0.
    """
    number("fit_ridge", "ridge", ridge, above=0)
    x, y = x.double(), y.double()
    middle, spread = x.mean(dim=0), x.std(dim=0, correction=0)
    spread = torch.where(spread > 1e-12 * spread.amax(), spread, torch.inf)  # constant channels
    z = (x - middle) / spread
    n, width = z.shape
    if n >= width:
        gram = z.T @ z
        gram.diagonal().add_(ridge * n)
        weight = torch.linalg.solve(gram, z.T @ (y - y.mean()))
    else:  # the same by the smaller matrix
        gram = z @ z.T
        gram.diagonal().add_(ridge * n)
        weight = z.T @ torch.linalg.solve(gram, y - y.mean())
    return Ridge(weight / spread, middle, y.mean())


@kinds_checked
@torch.no_grad()
def probe_positions(
    train: Tensor,
    test: Tensor,
    ridge: float = 1e-3,
    train_lengths: Tensor | None = None,
    test_lengths: Tensor | None = None,
) -> ProbeResult:
    """Fit a ridge regression from states to positions 0 … T - 1 and try it on other sequences.

    After Haviv et al. 2022 (arXiv:2203.16634, section 4), whose probe is a small network; a linear
    one has a closed form and finds what the next layer's projections can read.

    Args:
        train: (N, T, D) states of one layer, to fit.
        test: (N', T, D) states of other sequences.
        ridge: Penalty over the variance of a channel, positive.
        train_lengths: (N,) tokens of each sequence; None if all are full.
        test_lengths: (N',) likewise.
    """
    fitted, tried = _tokens(train, train_lengths), _tokens(test, test_lengths)
    return _tried(*fitted, *tried, (0, test.shape[1] - 1), ridge)


@kinds_checked
@torch.no_grad()
def probe_cells(
    train: Tensor,
    test: Tensor,
    train_cells: Tensor,
    test_cells: Tensor,
    ridge: float = 1e-3,
) -> list[ProbeResult]:
    """The same for tokens of a grid: how well a probe tells rows, and how well columns.

    Chance is a quarter of the rows, and of the columns. Tokens that stand outside the grid, such
    as class tokens, are left out.

    Args:
        train: (N, T, D) states of one layer, to fit.
        test: (N', T, D) states of other sequences.
        train_cells: (N, T, 2) the row and the column of each token; below 0 outside the grid.
        test_cells: (N', T, 2) likewise.
        ridge: Penalty over the variance of a channel, positive.
    """
    inside = [(cells >= 0).all(dim=-1) for cells in (train_cells, test_cells)]
    found = []
    for axis in range(train_cells.shape[-1]):
        y, y_test = train_cells[..., axis][inside[0]], test_cells[..., axis][inside[1]]
        ends = (float(y.min()), float(y.max()))
        states = train[inside[0]], test[inside[1]]
        found.append(_tried(states[0], y.double(), states[1], y_test.double(), ends, ridge))
    return found


def _tried(
    x: Tensor, y: Tensor, x_test: Tensor, y_test: Tensor, ends: tuple[float, float], ridge: float
) -> ProbeResult:
    """Fit a probe to (n, D) and (n,), and try it on others; it says nothing beyond the ends."""
    predicted = fit_ridge(x, y, ridge)(x_test).clamp(*ends)
    spread = (y_test - y_test.mean()).square().sum().clamp(min=torch.finfo(torch.float64).tiny)
    r2 = 1 - (predicted - y_test).square().sum() / spread
    return ProbeResult((predicted - y_test).abs().mean(), r2)


def probe_by_depth(
    seen: Observation, lengths: Tensor | None
) -> dict[str, dict[int, Tensor | float]]:
    """What a probe reads off the residual stream, by blocks passed; NaN of one sequence.

    On a grid `probe/mae` and `probe/r2` are means over rows and columns, of which each has its own
    error, too. A stream of fewer tokens than the grid has is read by the index of its tokens.
    """
    found: dict[str, dict[int, Tensor | float]] = {"probe/mae": {}, "probe/r2": {}}
    for n, x in enumerate(seen.hidden):
        if seen.cells is not None and x.shape[1] == seen.cells.shape[1]:
            for name, value in _on_a_grid(x, seen.cells, lengths).items():
                found.setdefault(name, {})[n] = value
            continue
        found["probe/mae"][n], found["probe/r2"][n] = math.nan, math.nan
        if len(x) > 1:
            fitted = [b for b in range(len(x)) if b % HELD_OUT]
            ends = (None, None) if lengths is None else (lengths[fitted], lengths[::HELD_OUT])
            found["probe/mae"][n], found["probe/r2"][n] = probe_positions(
                x[fitted], x[::HELD_OUT], train_lengths=ends[0], test_lengths=ends[1]
            )
    return found


def _on_a_grid(x: Tensor, cells: Tensor, lengths: Tensor | None) -> dict[str, Tensor | float]:
    """What a probe reads of rows and columns off one layer's states."""
    if len(x) < 2:
        return dict.fromkeys(("probe/mae", "probe/r2", "probe/row", "probe/column"), math.nan)
    cells = cells.to(x.device).expand(*x.shape[:2], 2)
    if lengths is not None:
        real = torch.arange(x.shape[1], device=x.device) < lengths.to(x.device)[:, None]
        cells = cells.masked_fill(~real.unsqueeze(-1), OUTSIDE)
    fitted = [b for b in range(len(x)) if b % HELD_OUT]
    row, column = probe_cells(x[fitted], x[::HELD_OUT], cells[fitted], cells[::HELD_OUT])
    return {
        "probe/mae": (row.mae + column.mae) / 2,
        "probe/r2": (row.r2 + column.r2) / 2,
        "probe/row": row.mae,
        "probe/column": column.mae,
    }


def _tokens(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Real tokens (n, D) and their positions (n,)."""
    positions = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
    if lengths is None:
        return x.flatten(0, 1), positions.flatten().double()
    real = positions < lengths.to(x.device)[:, None]
    return x[real], positions[real].double()
