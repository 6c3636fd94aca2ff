"""Mixtures: each sample is one of its tasks' own, and says so."""

import pytest
import torch

from lightning_posenc.tasks import (
    IGNORE,
    Copy,
    Draws,
    Mixture,
    Order,
    PositionPattern,
    Reverse,
    Shift,
    generate,
)

MIXED = Mixture([Reverse(5), Copy(8)], weights=[1, 3])


def test_samples_are_those_of_the_named_task() -> None:
    sample = generate(MIXED, 0, "train", torch.arange(2000), 7)
    assert sample.lengths is not None
    copies = sample.tokens[:, 0] == MIXED.first + 1
    assert abs(float(copies.float().mean()) - 0.75) < 0.04
    for tokens, targets, copy in zip(
        sample.tokens[:, 1:], sample.targets[:, 1:], copies, strict=True
    ):
        if copy:
            assert tokens[3] == 8
            assert targets[4:].tolist() == tokens[:3].tolist()
        else:
            assert targets.tolist() == tokens.flip(0).tolist()
    assert (sample.targets[:, 0] == IGNORE).all()
    assert sample.tokens.max() < MIXED.vocab_size
    assert (sample.lengths == 8).all()


def test_draws_of_some_rows_are_theirs() -> None:
    one, other = (Draws(0, "train", torch.arange(10)) for _ in range(2))
    one.integers(0, 9), other.integers(0, 9)
    rows = torch.tensor([3, 8])
    assert torch.equal(one.of(rows).integers(0, 99, 4), other.integers(0, 99, 4)[rows])


def test_bound_is_between_those_of_the_tasks() -> None:
    bounds = [task.bag_of_tokens_bound(9) for task in MIXED.tasks]
    # 9 scored answers in a quarter of the samples, 4 in the others
    expected = (9 * 0.25 * bounds[0] + 4 * 0.75 * bounds[1]) / (9 * 0.25 + 4 * 0.75)
    assert MIXED.bag_of_tokens_bound(9) == pytest.approx(expected)


def test_of_sequence_tasks_and_for_people() -> None:
    mixed = Mixture([Order(), PositionPattern()])
    sample = generate(mixed, 0, "train", torch.arange(100), 8)
    assert sample.targets.shape == (100,)
    shown = mixed.show(sample.tokens[0].tolist(), int(sample.targets[0]))
    assert shown.startswith(("Order: ", "PositionPattern: "))


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="tasks of one kind"):
        Mixture([Reverse(), Order()])
    with pytest.raises(ValueError, match="at least two"):
        Mixture([Reverse()])
    with pytest.raises(ValueError, match="must be a list of 2 values"):
        Mixture([Reverse(), Shift()], weights=[1])
    with pytest.raises(ValueError, match="Shift"):
        generate(Mixture([Reverse(), Shift(6)]), 0, "train", torch.arange(2), 4)
