"""How much of the variance is position: against loops, in pure signal and in pure noise."""

import numpy as np
import pytest
import torch

from lightning_posenc.diagnostics import positional_share

LENGTHS = (8, 5, 3)


@pytest.mark.parametrize("padded", [False, True])
def test_against_loops(padded: bool) -> None:
    x = torch.randn(3, 8, 6) + 2 * torch.randn(8, 6)
    lengths = LENGTHS if padded else (8, 8, 8)
    tokens = [(t, x[b, t].double().numpy()) for b in range(3) for t in range(lengths[b])]
    middle = np.mean([v for _, v in tokens], axis=0)
    total = sum(((v - middle) ** 2).sum() for _, v in tokens)
    within = 0.0
    for t in range(8):
        at = [v for place, v in tokens if place == t]
        within += sum(((v - np.mean(at, axis=0)) ** 2).sum() for v in at)
    expected = 1 - within / (len(tokens) - 8) / (total / (len(tokens) - 1))
    got = positional_share(x, torch.tensor(lengths) if padded else None)
    assert got == pytest.approx(expected, abs=1e-6)
    assert 0.3 < got < 1


def test_pure_position_is_1_and_pure_noise_0_whatever_the_number_of_sequences() -> None:
    table = torch.randn(1, 16, 8)
    assert positional_share(table.expand(3, 16, 8)) == pytest.approx(1, abs=1e-9)
    for n_sequences in (2, 4, 32):
        assert positional_share(torch.randn(n_sequences, 64, 32)) < 0.03
    half = table * 8**-0.5 + torch.randn(2000, 16, 8) * 8**-0.5
    share = table.var(dim=1, correction=0).mean() / (1 + table.var(dim=1, correction=0).mean())
    assert positional_share(half) == pytest.approx(float(share), abs=0.02)
    assert positional_share(torch.ones(2, 4, 3)) == 0


def test_one_sequence_tells_nothing() -> None:
    with pytest.raises(ValueError, match="at least two sequences"):
        positional_share(torch.randn(1, 8, 4))
