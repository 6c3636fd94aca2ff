"""Standard errors of test scores, by the sequences that were tested."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.tasks import IGNORE
from lightning_posenc.training.sampling_error import SamplingErrors


def _said(targets: Tensor, outputs: Tensor, parts: int = 1) -> tuple[dict[str, float], Any]:
    errors = SamplingErrors()
    module = SimpleNamespace(test_length=lambda batch, index: 8)
    for asked, answered in zip(targets.chunk(parts), outputs.chunk(parts), strict=True):
        errors.add(module, Batch(asked, asked), answered, 0)
    strategy = SimpleNamespace(reduce=lambda sums, reduce_op: sums)
    trainer: Any = SimpleNamespace(strategy=strategy)
    return errors.over_ranks(trainer)


def test_one_answer_a_sequence_is_binomial() -> None:
    targets = torch.zeros(50, dtype=torch.long)
    outputs = (torch.arange(50) < 20).long()
    errors, counts = _said(targets, outputs, parts=3)
    expected = torch.tensor([1.0] * 30 + [0.0] * 20).std().item() / math.sqrt(50)
    assert errors["test/acc/len_8"] == pytest.approx(expected)
    assert errors["test/exact/len_8"] == pytest.approx(expected)
    assert counts == {"test/len_8": 50}


def test_the_error_is_that_of_many_repetitions() -> None:
    """Sequences of unequal numbers of targets, whose answers stand or fall together."""
    generator = torch.Generator().manual_seed(0)
    found, shares = [], []
    for _ in range(300):
        targets = torch.zeros(80, 6, dtype=torch.long)
        n = torch.randint(1, 7, (80, 1), generator=generator)
        targets[torch.arange(6).expand(80, 6) >= n] = IGNORE
        outputs = (torch.rand(80, 1, generator=generator) < 0.3).long().expand(80, 6)
        errors, _ = _said(targets, outputs, parts=2)
        found.append(errors["test/acc/len_8"])
        scored = targets != IGNORE
        shares.append(((outputs == targets) & scored).sum().item() / scored.sum().item())
    spread = torch.tensor(shares).std().item()
    assert sum(found) / len(found) == pytest.approx(spread, rel=0.1)
    one_by_one = math.sqrt(0.3 * 0.7 / (80 * 3.5))  # as if answers were independent
    assert spread > 1.5 * one_by_one


def test_what_it_does_not_know_it_leaves_out() -> None:
    targets = torch.zeros(4, 3, dtype=torch.long)
    assert _said(targets, torch.zeros(4, dtype=torch.long)) == ({}, {})
    assert _said(targets[:1], targets[:1]) == ({}, {})
    assert _said(torch.full((4, 3), IGNORE), targets) == ({}, {})
