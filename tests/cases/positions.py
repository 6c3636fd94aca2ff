"""Samplers of positions, each under an encoding.

Abacus and PositionCoupling are not among them: they read tokens, which this suite's models, fed
with vectors, do not have. tests/test_positions.py runs them under LearnedAbsolute.
"""

# ruff: noqa: E501 (one line a case)

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.positional import LearnableFourier, RoPE, Sinusoidal
from lightning_posenc.positions import (
    Grid,
    Interpolated,
    Jittered,
    PerDocument,
    PoSE,
    Positions,
    Randomized,
    Shifted,
)
from tests.cases.base import Case
from tests.oracles import absolute, rotary


def in_pairs(positions: Tensor) -> Tensor:
    """What `Grid` draws as it is; one number for each token as a place in rows of two."""
    if positions.dim() == 3:
        return positions
    return torch.stack([positions.div(2, rounding_mode="floor"), positions % 2], dim=-1)


def of(
    base: Callable[[], Positions], sampler: Callable[..., Positions], *args: Any, **options: Any
) -> Callable[[], Positions]:
    """Make a sampler of another one, each made anew: who trains one changes its mode."""
    return lambda: sampler(*args, of=base(), **options)


# fmt: off
CASES: tuple[Case, ...] = (
    Case("rope-randomized", RoPE, rotary.rope, positions=partial(Randomized, 64), limit=64),
    Case("rope-per-document", RoPE, rotary.rope, positions=PerDocument),
    Case("rope-shifted", RoPE, rotary.rope, positions=of(PerDocument, Shifted, 50)),
    Case("rope-pose", RoPE, rotary.rope, positions=of(PerDocument, PoSE, 2048)),
    Case("rope-jittered", RoPE, rotary.rope, positions=Jittered),
    Case("sinusoidal-jittered", Sinusoidal, absolute.sinusoidal, shift_invariant=False, positions=of(PerDocument, Jittered, mean_normalize=True)),
    Case("rope-interpolated", RoPE, rotary.rope, positions=partial(Interpolated, 4)),
    Case("rope-interpolated-randomized", RoPE, rotary.rope, positions=of(partial(Randomized, 64), Interpolated, 4), limit=64),
    Case("learnable-fourier-grid", partial(LearnableFourier, axes=2, d_hidden=8), absolute.learnable_fourier, shift_invariant=False, positions=partial(Grid, (-1, 2)), place=in_pairs),
)
# fmt: on
