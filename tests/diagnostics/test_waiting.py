"""Measurements give tensors and wait for no device: who asks for many takes them over at once."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import DataDependentOutputException

from lightning_posenc.diagnostics import (
    effective_rank,
    layer_similarity,
    order_sensitivity,
    positional_share,
    residual_ratio,
    shuffle_change,
    summarise,
    token_cosine,
)
from lightning_posenc.masks import Causal, Padding
from tests.helpers import operands

B, T, D = 3, 8, 6


def summary(lengths: Tensor) -> Tensor:
    q, k, v = torch.randn(3, B, 2, T, D)
    seen = operands(q, k, v, torch.randn(1, 2, T, T), Causal() & Padding(lengths))
    assert layer_similarity(seen, seen, 4, lengths).dim() == 0
    return torch.stack(list(summarise(seen, lengths, 4))).sum()


def order(lengths: Tensor) -> Tensor:
    found = order_sensitivity(lambda x, positions: x.cumsum(dim=1), torch.randn(B, T, D))
    return torch.stack(list(found)).sum()


MEASUREMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "summary and similarity": summary,
    "order": order,
    "shuffle": lambda lengths: shuffle_change(
        torch.randn(B, T, D), torch.randn(B, T, D), torch.randint(T, (B, T))
    ),
    "residual": lambda lengths: residual_ratio(torch.randn(B, T, D), lengths),
    "cosine": lambda lengths: token_cosine(torch.randn(B, T, D), lengths),
    "effective": lambda lengths: effective_rank(torch.randn(B, T, D), lengths),
    "share": lambda lengths: positional_share(torch.randn(B, T, D), lengths),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_no_number_is_read_before_all_are_there(name: str) -> None:
    """On tensors that hold no values: to read one is an error."""
    with FakeTensorMode():
        found = MEASUREMENTS[name](torch.randint(2, T, (B,)))
        assert found.dim() == 0
        with pytest.raises(DataDependentOutputException):
            float(found)
