"""What moves under a shift of positions, and how wide an interval is."""

import pytest
import torch

from lightning_posenc.pretrained.evaluating.intervals import difference, interval
from lightning_posenc.pretrained.evaluating.shift import shift_test
from tests.pretrained.evaluating.examples import VOCAB, pretrained


def test_relative_positions_do_not_move_the_logits() -> None:
    tokens = torch.randint(VOCAB, (2, 12))
    found = shift_test(pretrained("llama"), tokens, [1, 40])
    assert list(found) == [1, 40]
    assert max(found.values()) < 1e-5
    assert shift_test(pretrained("gpt2"), tokens, [1])[1] > 0.1
    with pytest.raises(ValueError, match="takes no position_ids"):
        shift_test(pretrained("bloom"), tokens, [1])


def test_frequencies_in_half_precision_do() -> None:
    ours = pretrained("llama", max_position_embeddings=8192)
    tokens = torch.randint(VOCAB, (2, 12))
    (whole,) = shift_test(ours, tokens, [8000]).values()
    turning = ours.model.model.rotary_emb
    turning.inv_freq = turning.inv_freq.to(torch.bfloat16)  # as `.to(bfloat16)` leaves them
    assert shift_test(ours, tokens, [8000])[8000] < 1e-2  # rounded frequencies are relative, too

    class Rounded(type(turning)):  # type: ignore[misc]
        def forward(self, x, position_ids):  # type: ignore[no-untyped-def]
            return super().forward(x, position_ids.bfloat16())

    turning.__class__ = Rounded
    assert shift_test(ours, tokens, [8000])[8000] > 100 * whole


def test_an_interval_holds_the_mean_as_often_as_it_says() -> None:
    torch.manual_seed(3)
    held = [
        found.low <= 0 <= found.high
        for found in (interval(torch.randn(8).exp() - 1.6487, draws=400) for _ in range(150))
    ]
    gauss = [
        found.low <= 0 <= found.high
        for found in (interval(torch.randn(8), draws=400) for _ in range(150))
    ]
    assert sum(gauss) / 150 > 0.91
    assert sum(held) / 150 > 0.75  # of a skewed one it promises less


def test_pairs_see_what_their_scatter_hides() -> None:
    base = torch.randn(12) * 5
    better = base - 0.1 + 0.02 * torch.randn(12)
    assert difference(better, base).is_below
    alone = interval(better)
    assert not alone.is_below
    assert not alone.is_above
    assert interval(better) == interval(better)
    assert interval(torch.tensor([1.0])).mean == 1.0
    assert not interval(torch.tensor([1.0])).is_above
    with pytest.raises(ValueError, match="no pairs"):
        difference(base, base[:3])
