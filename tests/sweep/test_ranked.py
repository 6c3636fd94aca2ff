"""Which trial is the best: the table in the terminal and `SweepResult.best` ask one function."""

import pytest

from lightning_posenc.sweep.trial import Status, Trial, ranked


@pytest.mark.parametrize(("rises", "order"), [(False, [1, 0, 4, 3]), (True, [0, 4, 1, 3])])
def test_what_ended_is_ranked_and_what_diverged_comes_last(rises: bool, order: list[int]) -> None:
    trials = [
        Trial(4, {}, {}, status=Status.COMPLETE, metric=2.0),
        Trial(3, {}, {}, status=Status.DIVERGED),
        Trial(2, {}, {}, status=Status.STOPPED, metric=0.5 if not rises else 9.0),
        Trial(1, {}, {}, status=Status.COMPLETE, metric=1.0),
        Trial(0, {}, {}, status=Status.COMPLETE, metric=2.0),
    ]
    assert [each.number for each in ranked(trials, rises)] == order
