"""What an encoding must do when positions move: off the lattice, all by as much, in reverse.

Shapes: B sequences, T tokens.
"""

import torch

from lightning_posenc.positions import Places
from lightning_posenc.testing.case import Case
from lightning_posenc.testing.check import expect, expect_refusal
from lightning_posenc.testing.models import counted, encoder, tokens
from lightning_posenc.testing.sizes import BATCH, LENGTH, dims


def gradient_of_positions(case: Case, causal: bool) -> None:
    """Positions off the lattice are served, with gradients where the output moves with them."""
    model = encoder(case, causal)
    positions = (torch.rand(BATCH, LENGTH) * _reach(case)).sort(dim=1).values.requires_grad_()
    at = case.place(positions)
    if case.differentiable is None:
        try:
            model.positional.check(Places(at))
        except ValueError as error:
            expect("\n" not in str(error), f"a refusal of several lines: {error}")
            return
    out = model(tokens().requires_grad_(), positions=at)
    (out * torch.randn_like(out)).sum().backward()
    if case.differentiable is False:
        expect(positions.grad is None, "a gradient of what is said not to be differentiable")
        return
    if positions.grad is None:
        expect(case.differentiable is None, "no gradient of positions")
        return
    expect(positions.grad.isfinite().all(), "a gradient of positions that is not finite")
    most = positions.grad.abs().amax()
    expect(case.differentiable is None or most > 1e-3, f"a gradient of {most:.1e} at most")


def _reach(case: Case) -> float:
    """The largest position to draw."""
    return min(20, (case.limit or LENGTH + 20) - 1)


def shift_of_all_positions(case: Case, causal: bool, shift: int = 7) -> None:
    """Whether a constant added to all positions changes an output is as it is claimed."""
    if not case.shift_invariant and case.limit is not None:
        shift = min(shift, case.limit - LENGTH)  # tables end
    model, x, positions = encoder(case, causal), tokens(), torch.arange(LENGTH).unsqueeze(0)
    here, there = (case.place(positions + by) for by in (0, shift))
    change = (model(x, positions=there) - model(x, positions=here)).abs().amax()
    if case.shift_invariant:
        expect(change < 1e-4, f"outputs that a shift by {shift} changes by {change:.1e}")
    else:
        expect(change > 1e-2, f"outputs that a shift by {shift} changes by no more: {change:.1e}")


def order_awareness_of_a_bidirectional_model(case: Case, causal: bool = False) -> None:
    """Unaware of order: the reversed sequence gives the reversed outputs. Aware: it does not."""
    model, x, positions = encoder(case, causal), tokens(), counted(case)
    reversed_back = model(x.flip(1), positions=positions).flip(1)
    change = (reversed_back - model(x, positions=positions)).abs().amax()
    if case.order_aware_bidirectional:
        expect(change > 1e-2, f"outputs of the reversed sequence, the same but for {change:.1e}")
    else:
        expect(change < 1e-5, f"outputs of the reversed sequence that differ by {change:.1e}")


def refusal_of_a_bidirectional_model(case: Case, causal: bool = False) -> None:
    """A model that sees the future is refused with the reason."""
    expect_refusal(lambda: case.factory(dims(causal)), case.refused)
