"""Does a model use order? Models of which the answer is known."""

import math

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.diagnostics import OrderChanges, order_sensitivity, shuffle_change
from lightning_posenc.diagnostics.measures.order_sensitivity import shuffles
from lightning_posenc.positional import Factory, LearnedAbsolute, NoPE, RoPE, Sinusoidal

T = 16


def measured(positional: Factory, causal: bool = False) -> OrderChanges:
    dims = Dims(32, 4, 2, causal)
    encoder = Encoder(dims, positional, init_std=0.2).eval()
    return order_sensitivity(
        lambda x, positions: encoder(x, positions=positions), torch.randn(3, T, 32)
    )


def test_a_model_without_position_ignores_order() -> None:
    found = measured(NoPE)
    assert max(found) < 1e-6


def test_a_causal_model_without_position_does_not() -> None:
    found = measured(NoPE, causal=True)
    assert min(found.swapped, found.shuffled) > 1e-3
    assert max(found.shifted, found.zeroed) < 1e-6


def test_a_rotation_sees_distance_only() -> None:
    found = measured(RoPE)
    assert found.shifted < 1e-5
    assert min(found.swapped, found.shuffled, found.zeroed) > 1e-3


def test_an_absolute_encoding_sees_everything() -> None:
    assert min(measured(Sinusoidal)) > 1e-3


def test_a_table_that_ends_refuses_the_shift() -> None:
    found = measured(lambda dims: LearnedAbsolute(dims, max_length=T))
    assert math.isnan(found.shifted)
    assert found.zeroed > 0


def test_values() -> None:
    def weighed(x: Tensor, positions: Tensor | None) -> Tensor:
        """Of a sequence: Σ t · x_t."""
        places = torch.arange(8.0)[None] if positions is None else positions
        return (x * places).sum(dim=1, keepdim=True)

    x = torch.tensor([[1.0, 1, 1, 1, 2, 1, 1, 1]])
    found = order_sensitivity(weighed, x)  # 32; swapping places 2 and 4 makes it 30
    assert found.swapped == pytest.approx(2 / 32)
    assert found.shifted == pytest.approx(2 * 9 / 32)
    assert found.zeroed == 1
    same = order_sensitivity(weighed, torch.ones(1, 8), takes_positions=False)
    assert same.swapped == 0
    assert math.isnan(same.zeroed)
    with pytest.raises(ValueError, match="at least 4"):
        order_sensitivity(weighed, x[:, :3])


def test_change_of_a_shuffle_against_loops() -> None:
    before, after = torch.randn(2, 3, 5, 4).double().unbind(0)
    order = shuffles((3, 5))
    apart, spread = 0.0, 0.0
    for b in range(3):
        for t in range(5):
            came_from = int(order[b, t])
            apart += float((after[b, t] - before[b, came_from]).square().sum())
            spread += float((before[b, t] - before.mean(dim=(0, 1))).square().sum())
    assert float(shuffle_change(before, after, order)) == pytest.approx(math.sqrt(apart / spread))
    of_sequences = shuffle_change(before[:, 0], after[:, 0], order)
    centred = before[:, 0] - before[:, 0].mean(dim=0)
    expected = (after[:, 0] - before[:, 0]).norm() / centred.norm()
    torch.testing.assert_close(of_sequences, expected)


def test_a_model_that_is_blind_to_order_follows_every_shuffle() -> None:
    x, order = torch.randn(3, T, 32), shuffles((3, T))
    moved = x.gather(1, order[..., None].expand_as(x))
    for positional, blind in ((NoPE, True), (RoPE, False)):
        model = Encoder(Dims(32, 4, 2), positional, init_std=0.2).eval()
        change = float(shuffle_change(model(x), model(moved), order))
        assert (change < 1e-5) is blind
        assert blind or change > 1e-2


def test_shuffles_leave_padding_where_it_is() -> None:
    lengths = torch.tensor([T, 9, 1])
    order = shuffles((3, T), lengths)
    for row, n in zip(order.tolist(), lengths.tolist(), strict=True):
        assert sorted(row[:n]) == list(range(n))
        assert row[n:] == list(range(n, T))
    assert order[0].tolist() != list(range(T))
    assert torch.equal(order, shuffles((3, T), lengths))
