"""Laws that hold for whole families of encodings, whatever their parameters.

Shapes: B sequences, T tokens, H heads, K channels of a head.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_posenc.positional import RoPE
from lightning_posenc.positional.rotary.base import Layout
from lightning_posenc.testing.moved_positions import (
    order_awareness_of_a_bidirectional_model,
    shift_of_all_positions,
)
from tests.cases import CASES, Case
from tests.helpers import (
    LENGTH,
    both_ways,
    counted,
    dims,
    each_bidirectional_case,
    encoder,
    site_of,
    tokens,
)

seeds = st.integers(0, 2**31 - 1)


@pytest.mark.slow  # one shift of each is in the judge's list
@both_ways(case for case in CASES if case.shift_invariant is not None)
@settings(max_examples=3)
@given(seed=seeds, shift=st.sampled_from([7, 20, 1000]))
def test_shift_of_all_positions(case: Case, causal: bool, seed: int, shift: int) -> None:
    if not case.shift_invariant:
        shift = min(shift, 20)  # tables end
    torch.default_generator.manual_seed(seed)
    shift_of_all_positions(case, causal, shift)


@both_ways(case for case in CASES if case.shift_invariant and case.differentiable)
@given(seed=seeds)
def test_gradients_of_positions_sum_to_zero(case: Case, causal: bool, seed: int) -> None:
    """d/dc L(positions + c) = 0, sequence by sequence."""
    torch.default_generator.manual_seed(seed)
    model, x = encoder(case, causal), tokens()
    positions = (torch.rand(len(x), LENGTH) * 20).sort(dim=1).values.requires_grad_()
    out = model(x, positions=case.place(positions))
    (grad,) = torch.autograd.grad((out * torch.randn_like(out)).mean(), positions)
    assert grad.sum(dim=1).abs().amax() < 1e-3 * grad.abs().amax()


@given(
    layout=st.sampled_from(["half", "interleaved"]),
    base=st.floats(2, 1e6),
    positions=st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=6),
)
def test_rotation_is_an_isometry(layout: Layout, base: float, positions: list[float]) -> None:
    encoding = RoPE(dims(causal=False), base=base, layout=layout)
    at = torch.tensor([positions])
    q, k = torch.randn(2, 1, 4, len(positions), 8)
    turned = encoding.transform(site_of(encoding, 0, q, q, k, at, at))
    for before, after in zip((q, k), turned, strict=True):
        torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1))


@given(seed=seeds)
def test_bidirectional_nope_is_permutation_equivariant(seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    (case,) = (case for case in CASES if case.name == "nope")
    model, x, order = encoder(case, causal=False), tokens(), torch.randperm(LENGTH)
    torch.testing.assert_close(model(x[:, order]), model(x)[:, order], rtol=0, atol=1e-5)


@pytest.mark.slow  # one draw of each is in the judge's list
@each_bidirectional_case
@given(seed=seeds)
def test_order_awareness_of_a_bidirectional_model(case: Case, seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    order_awareness_of_a_bidirectional_model(case)


@each_bidirectional_case
def test_all_but_the_blind_notice_a_permutation(case: Case) -> None:
    """Even the symmetric ones, which no reversal tells apart, feel who is near to whom."""
    model, x, positions = encoder(case, causal=False), tokens(), counted(case)
    order = torch.tensor([3, 0, 7, 1, 9, 5, 2, 8, 4, 6])
    change = model(x[:, order], positions=positions) - model(x, positions=positions)[:, order]
    assert (change.abs().amax() > 1e-2) == (not case.sees_no_order)
