"""The growth of attention's entropy with length, against plain definitions."""

import math

import pytest
import torch

from lightning_posenc.diagnostics import Spread, dilution, spread
from lightning_posenc.masks import Causal, Mask, Window
from tests.diagnostics.naive import H, T, naive_attention, naive_entropy, random_view
from tests.helpers import operands

MASKS = {"all keys": None, "causal": Causal()}


def chooser(n: int, margin: float, mask: Mask | None = None) -> Spread:
    """Every query prefers the first key by a margin of its logit."""
    q, k = torch.ones(1, 1, n, 1), torch.zeros(1, 1, n, 1)
    k[:, :, 0] = margin
    return spread(operands(q, k, k, None, mask))


@pytest.mark.parametrize("kind", MASKS)
def test_uniform_attention_dilutes_by_one(kind: str) -> None:
    found = [chooser(n, 0.0, MASKS[kind]) for n in (8, 16, 32)]
    assert dilution(found).item() == pytest.approx(1, abs=1e-5)
    assert found[0].entropy.item() == pytest.approx(found[0].ln_keys, abs=1e-6)


def test_a_margin_that_does_not_grow_dilutes_and_one_of_2_ln_n_does_not() -> None:
    fixed = dilution([chooser(n, 2.0) for n in (8, 16, 32)]).item()
    growing = dilution([chooser(n, 2 * math.log(n)) for n in (8, 16, 32)]).item()
    assert fixed > 0.9
    assert growing < 0
    best = [chooser(n, 2.0).best.item() for n in (8, 32)]
    expected = [math.exp(2) / (math.exp(2) + n - 1) for n in (8, 32)]
    assert best == pytest.approx(expected, rel=1e-5)


def test_a_window_of_keys_has_nothing_to_dilute() -> None:
    assert dilution([chooser(n, 0.0, Window(2)) for n in (64, 128)]).isnan().all()


@pytest.mark.parametrize("block", [1, 3, 64])
def test_a_spread_is_that_of_real_queries(block: int) -> None:
    lengths = (9, 6, 4)
    view = random_view(mask="padding", lengths=lengths)
    weights, _, visible = naive_attention(view, lengths)
    found = spread(view, torch.tensor(lengths), block)
    real = [(b, i) for b, n in enumerate(lengths) for i in range(T) if 9 - T + i < n]
    for h in range(H):
        rows = [weights[b, h, i] for b, i in real]
        entropy = sum(naive_entropy(row) for row in rows) / len(rows)
        assert found.entropy[h].item() == pytest.approx(entropy, abs=1e-5)
        best = sum(max(row) for row in rows) / len(rows)
        assert found.best[h].item() == pytest.approx(best, abs=1e-5)
    seen = [math.log(visible[b, 0, i].sum()) for b, i in real]
    assert found.ln_keys == pytest.approx(sum(seen) / len(seen), abs=1e-6)


def test_one_length_has_no_slope() -> None:
    with pytest.raises(ValueError, match="two lengths"):
        dilution([chooser(8, 0.0)])
