"""Keys beyond a head's reach have no weight that a sum of weights could hold.

Shapes: B sequences, H heads, T tokens, K channels of a head.
"""

import pytest
import torch
from torch import Tensor

from lightning_posenc.model.kernels import lookback
from lightning_posenc.model.kernels.lookback import by_lookback
from lightning_posenc.positional.bias.alibi import slopes

K = 16
SCALE = K**-0.5


@pytest.fixture(autouse=True)
def of_few_tokens_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookback, "FEWEST", 0)


def within(q: Tensor, k: Tensor, falls: Tensor) -> Tensor:
    """(H, T, T): whether a head computes a pair at all."""
    at = torch.arange(q.shape[2])
    seen = torch.ones(q.shape[1], len(at), len(at), dtype=torch.bool).tril()
    for heads, found in by_lookback(q, k, falls, SCALE):
        if found is not None:
            run = (at - found.first(len(at))).div(found.size, rounding_mode="floor").clamp(min=-1)
            start = found.first(len(at)) + run * found.size - found.n_before
            seen[heads] &= (at >= start[:, None]) | (run[:, None] < 0)
    return seen


@pytest.mark.parametrize("size", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("length", [300, 701])
def test_the_weights_left_out_add_up_to_less_than_a_last_place(size: float, length: int) -> None:
    torch.manual_seed(0)
    q, k = (size * torch.randn(2, 2, 8, length, K, dtype=torch.float64)).unbind(0)
    q[:, :, :, 0] += 3 * size  # all queries and keys have something in common
    k[:, :, :, 0] += 3 * size
    falls = torch.tensor([40.0, 4.0, *slopes(6)])
    seen = within(q.float(), k.float(), falls)
    at = torch.arange(length)
    logits = q @ k.mT * SCALE - falls.view(-1, 1, 1) * (at[:, None] - at)
    weights = logits.masked_fill(at[:, None] < at, -torch.inf).softmax(dim=-1)
    left_out = (weights * ~seen).sum(dim=-1).max()
    assert seen[0].sum() < lookback.SHARE * length**2 / 2
    assert left_out <= lookback.LEFT_OUT * torch.finfo(torch.float32).eps


def test_the_worst_case_is_the_bound() -> None:
    """A query that is opposed to its own key, with all others along it."""
    length, falls = 600, torch.tensor([1.0])
    q = torch.zeros(1, 1, length, K)
    q[..., 0] = 3.0
    k = q.clone()
    k[..., -1, 0] = -3.0
    ((_, found),) = by_lookback(q, k, falls, SCALE)
    assert found is not None
    logits = (q @ k.mT * SCALE)[0, 0, -1].double() - (length - 1 - torch.arange(length))
    beyond = length - 1 - int(lookback._distances(q, k, falls, SCALE))
    share = logits.softmax(dim=0)[:beyond].sum()
    assert share <= lookback.LEFT_OUT * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("slope", [0.0, -1.0, torch.nan, torch.inf])
def test_a_bias_that_does_not_fall_reaches_everywhere(slope: float) -> None:
    q, k = torch.randn(2, 1, 1, 2048, K).unbind(0)
    assert by_lookback(q, k, torch.tensor([slope]), SCALE) == [(slice(0, 1), None)]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_numbers_that_are_not_finite_reach_everywhere(value: float) -> None:
    """A loss shows them, wherever they are."""
    q, k = torch.randn(2, 1, 2, 2048, K).unbind(0)
    k[0, 0, 3, 5] = value
    (heads, found), (_, other) = by_lookback(q, k, torch.tensor([1.0, 1.0]), SCALE)
    assert (heads, found) == (slice(0, 1), None)
    assert other is not None


def test_heads_side_by_side_go_together() -> None:
    q, k = torch.randn(2, 1, 4, 2048, K).unbind(0)
    found = by_lookback(q, k, torch.tensor([1.0, 1.0, 0.001, 1.0]), SCALE)
    assert [heads for heads, _ in found] == [slice(0, 2), slice(2, 3), slice(3, 4)]


def test_a_third_of_alibis_pairs_is_left_out_of_long_texts() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 8, 4096, K).unbind(0)
    found = by_lookback(q, k, torch.tensor(slopes(8)), SCALE)
    pairs = [
        (heads.stop - heads.start) * (far.n_pairs(4096) if far else 4096**2 / 2)
        for heads, far in found
    ]
    assert sum(pairs) < 0.65 * 8 * 4096**2 / 2
