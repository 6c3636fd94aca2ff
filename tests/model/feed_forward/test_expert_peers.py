"""Experts with the weights of Hugging Face's layers give what those give."""

from functools import partial

import pytest
import torch
from torch import nn

from lightning_posenc import Dims
from lightning_posenc.model import MixtureOfExperts, SwitchRouter
from tests.peers.experts import mixtral, switch_transformers

D, T = 16, 24


def layer(**options: object) -> MixtureOfExperts:
    torch.manual_seed(0)
    made = MixtureOfExperts(Dims(D, 2, 2), 0, n_experts=4, d_ff=32, **options)  # type: ignore[arg-type]
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.4)
    return made.train()


@pytest.mark.slow
def test_mixtral() -> None:
    of, x = layer(balance=1.0, z=0.0), torch.randn(3, T, D)
    theirs = mixtral(of, x)
    torch.testing.assert_close(of(x), theirs.out, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(of.penalty(), theirs.balance)


@pytest.mark.slow
@pytest.mark.parametrize("capacity", [0.5, 1.0, 4.0])
def test_switch_transformers_with_the_tokens_that_it_drops(capacity: float) -> None:
    of = layer(
        router=partial(SwitchRouter, jitter=0.0),
        gated=False,
        activation=nn.ReLU,
        capacity=capacity,
        balance=1.0,
        z=0.0,
    )
    x = torch.randn(1, T, D)
    theirs = switch_transformers(of, x)
    found = of(x)
    dropped = (found == 0).all(dim=-1)
    assert dropped.any() == (capacity < 4)
    torch.testing.assert_close(found, theirs.out, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(of.penalty(), theirs.balance)
    of.balance, of.z = 0.0, 1.0
    of(x)
    torch.testing.assert_close(of.penalty(), theirs.z)
    several = torch.randn(3, T, D)
    torch.testing.assert_close(of(several), switch_transformers(of, several).out)
