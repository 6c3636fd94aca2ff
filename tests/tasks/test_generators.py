"""The tasks that have a file of their own: where their answers come from, and how often."""

import pytest
import torch

from lightning_posenc.tasks import IGNORE, Copy, Order, PositionPattern, Reverse, Shift, generate
from tests.tasks.helpers import assert_follows
from tests.tasks.solvers.basic import CASES

each_task = pytest.mark.parametrize(
    "task",
    [PositionPattern(), Order(), Shift(2), Reverse(), Copy()],
    ids=lambda task: type(task).__name__,
)


@pytest.mark.parametrize(("task", "solve"), CASES)
def test_focus_is_where_the_solver_finds_it(task, solve):
    for length in (task.min_length, task.min_length + 15):
        sample = generate(task, 0, "train", torch.arange(200), length)
        focus = [None] * 200 if sample.focus is None else sample.focus.tolist()
        assert focus == [solve(task, tokens)[1] for tokens in sample.tokens.tolist()]


@each_task
def test_labels_are_balanced(task):
    targets = generate(task, 0, "train", torch.arange(20_000), 13).targets
    assert_follows(targets[targets != IGNORE], [1] * task.n_classes)


@each_task
def test_the_bound_is_below_certainty_at_short_lengths_too(task):
    assert all(task.bag_of_tokens_bound(length) < 1 for length in (5, 16, 40))


def test_the_marker_is_uniform_within_its_part():
    # Length 10 in 4 parts: parts of 3, 2, 3 and 2 places, each part with a quarter of the mass.
    focus = generate(PositionPattern(), 0, "train", torch.arange(40_000), 10).focus
    assert focus is not None
    assert_follows(focus, [*[1 / 12] * 3, *[1 / 8] * 2, *[1 / 12] * 3, *[1 / 8] * 2])
