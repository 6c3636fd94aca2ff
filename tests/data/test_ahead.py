"""Batches of many lengths, made several at a time."""

import copy

import pytest
import torch

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.lengths import UniformLengths
from lightning_posenc.data.synthetic import TaskDataset
from lightning_posenc.tasks import PositionPattern, Reverse, Task


class Counting(PositionPattern):
    """Counts its calls."""

    calls = 0

    def sample(self, draws, length):  # type: ignore[no-untyped-def]
        type(self).calls += 1
        return super().sample(draws, length)


def dataset(task: Task) -> TaskDataset:
    return TaskDataset(task, 3, "train", UniformLengths(8, 20))


def same(one: Batch, other: Batch) -> bool:
    return all(
        (a is None and b is None) or torch.equal(a, b)  # type: ignore[arg-type]
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("task", [Reverse(), PositionPattern()], ids=["tokens", "sequences"])
def test_what_is_made_ahead_is_what_would_have_come(task: Task) -> None:
    """In order, with a rank's step, from elsewhere, backwards, of another size."""
    asked = [range(n * 4, n * 4 + 4) for n in range(30)]
    asked += [range(n * 8 + 2, n * 8 + 6) for n in range(20)]
    asked += [range(100, 104), range(3), [5, 9, 2], [6, 10, 3], [9, 6, 5, 1]]
    asked += [range(1000 - n * 4, 1004 - n * 4) for n in range(5)]
    going_on = dataset(task)
    for numbers in asked:
        found = going_on.__getitems__([*numbers])
        assert same(found, dataset(task).__getitems__([*numbers]))
        assert all(part is None or part.storage_offset() == 0 for part in found)
    half_way = copy.deepcopy(going_on)
    assert same(half_way.__getitems__([1, 2]), dataset(task).__getitems__([1, 2]))


def test_many_batches_take_few_calls() -> None:
    Counting.calls = 0
    going_on = dataset(Counting())
    for n in range(100):
        going_on.__getitems__([*range(n * 8, n * 8 + 8)])
    assert Counting.calls < 150  # of 800 samples of 13 lengths
