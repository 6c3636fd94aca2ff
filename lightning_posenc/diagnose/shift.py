"""Do answers stay where they are when all positions grow by the same number?

Shapes: B sequences, T tokens.
"""

from typing import NamedTuple

import torch

from lightning_posenc.diagnose.leaks import N_READ, placed
from lightning_posenc.diagnose.precision import HALF
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.diagnostics.measures.order_sensitivity import change_over_spread
from lightning_posenc.modules.generators import random_state, set_random_state

SHIFTS: tuple[int, ...] = (
    1,
    64,
    1000,
)  # bfloat16 has no odd numbers from 256 on


class ShiftChanges(NamedTuple):
    """What adding a constant to all positions changes.

    Args:
        claimed: Whether the encoding says that it changes nothing.
        by_shift: By the constant, the change of the outputs over their spread; empty if the model
            refuses such positions.
        half: Whether weights are in half precision, whose rounding is larger.
    """

    claimed: bool
    by_shift: dict[int, float]
    half: bool = False


@torch.no_grad()
def measure_shift(subject: OwnModel) -> ShiftChanges:
    """Run a few sequences at their positions and further on; class tokens stay outside."""
    batch = subject.batch.first(N_READ)
    with torch.random.fork_rng(devices=()):
        positions = placed(subject, batch)
        state = random_state(subject.observed)
        found: dict[int, float] = {}
        try:
            before = subject.outputs(batch._replace(positions=positions))
            shifts = SHIFTS
        except ValueError:  # stages that want the tokens of a grid, where its inputs put them
            shifts = ()
        for c in shifts:
            moved = positions.clone()
            moved[:, subject.n_outside :] += c
            set_random_state(subject.observed, state)
            try:
                after = subject.outputs(batch._replace(positions=moved))
            except ValueError:  # a table that ends there
                continue
            found[c] = float(change_over_spread(before, after))
    half = any(p.dtype in HALF for p in subject.module.parameters())
    return ShiftChanges(subject.module.positional.shift_invariant, found, half)
