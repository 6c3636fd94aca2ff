"""Probes of position and of order."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_posenc.diagnostics import order_error, position_error, probe_positions


def sinusoid(length: int = 512, width: int = 768) -> Tensor:
    """Vaswani et al. 2017, as in MiuLab/PE-Study."""
    angles = torch.arange(length)[:, None] * torch.exp(
        torch.arange(0, width, 2) * (-math.log(10000.0) / width)
    )
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


@pytest.mark.parametrize(("n", "width"), [(6, 5), (2, 40)], ids=["many tokens", "wide"])
def test_probe_against_the_normal_equations(n: int, width: int) -> None:
    mixing = torch.randn(1, 10, width)
    train, test = (mixing + torch.randn(k, 10, width) for k in (n, 4))
    x, y = train.flatten(0, 1).double().numpy(), np.tile(np.arange(10.0), n)
    middle, spread = x.mean(axis=0), x.std(axis=0)
    z = (x - middle) / spread
    penalty = 0.1 * len(z) * np.eye(width)
    w = np.linalg.inv(z.T @ z + penalty) @ (z.T @ (y - y.mean()))
    held_out = (test.flatten(0, 1).double().numpy() - middle) / spread
    predicted = np.clip(held_out @ w + y.mean(), 0, 9)
    target = np.tile(np.arange(10.0), 4)
    mae, r2 = probe_positions(train, test, ridge=0.1)
    assert mae == pytest.approx(np.mean(np.abs(predicted - target)), abs=1e-6)
    expected = 1 - ((predicted - target) ** 2).sum() / ((target - target.mean()) ** 2).sum()
    assert r2 == pytest.approx(expected, abs=1e-6)


def test_noise_is_at_chance_and_a_ramp_is_read_off() -> None:
    chance = probe_positions(torch.randn(64, 32, 8), torch.randn(64, 32, 8))
    assert chance.mae == pytest.approx(32 / 4, rel=0.05)
    assert chance.r2 < 0.02
    ramp = torch.arange(32.0)[:, None] * torch.randn(8)
    found = probe_positions(ramp.expand(4, 32, 8), ramp.expand(4, 32, 8))
    assert found.mae < 0.05
    assert found.r2 > 0.999


def test_padding_is_left_out() -> None:
    x = torch.randn(4, 10, 3)
    x[:, :, 0] = torch.arange(10)
    lengths = torch.tensor([10, 10, 6, 3])
    x[2, 6:], x[3, 3:] = 1e6, 1e6
    given = probe_positions(x, x, train_lengths=lengths, test_lengths=lengths)
    assert given.mae < 0.1
    assert probe_positions(x, x).mae > 1


@pytest.mark.slow
def test_sinusoid_as_wang_and_chen_found_it() -> None:
    table = sinusoid()
    assert position_error(table) == 0
    errors = [order_error(table, seed=seed) for seed in range(4)]
    assert 0.045 <= np.mean(errors) <= 0.075


def test_a_random_table_knows_less() -> None:
    table = torch.randn(512, 64)
    assert position_error(table) > 100
    assert order_error(table) > 0.2
