"""Can a linear probe read a token's position off the model's states?

Shapes: N sequences, T positions, D channels.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked, number
from lightning_posenc.diagnostics.observing.observe import Observation

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
    probe = fit_ridge(*_tokens(train, train_lengths), ridge)
    x, y = _tokens(test, test_lengths)
    predicted = probe(x).clamp(0, test.shape[1] - 1)
    spread = (y - y.mean()).square().sum().clamp(min=torch.finfo(torch.float64).tiny)
    r2 = 1 - (predicted - y).square().sum() / spread
    return ProbeResult((predicted - y).abs().mean(), r2)


def probe_by_depth(
    seen: Observation, lengths: Tensor | None
) -> dict[str, dict[int, Tensor | float]]:
    """What a probe reads off the residual stream, by blocks passed; NaN of one sequence."""
    found: dict[str, dict[int, Tensor | float]] = {"probe/mae": {}, "probe/r2": {}}
    for n, x in enumerate(seen.hidden):
        found["probe/mae"][n], found["probe/r2"][n] = math.nan, math.nan
        if len(x) > 1:
            fitted = [b for b in range(len(x)) if b % HELD_OUT]
            ends = (None, None) if lengths is None else (lengths[fitted], lengths[::HELD_OUT])
            found["probe/mae"][n], found["probe/r2"][n] = probe_positions(
                x[fitted], x[::HELD_OUT], train_lengths=ends[0], test_lengths=ends[1]
            )
    return found


def _tokens(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Real tokens (n, D) and their positions (n,)."""
    positions = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
    if lengths is None:
        return x.flatten(0, 1), positions.flatten().double()
    real = positions < lengths.to(x.device)[:, None]
    return x[real], positions[real].double()
