"""Early termination: brackets as documented, thresholds worked out by hand."""

import pytest

from lightning_posenc.sweep.definition import Hyperband
from lightning_posenc.sweep.hyperband import brackets, to_stop


def by_min(min_iter: int, eta: float = 3, strict: bool = False) -> Hyperband:
    return Hyperband(min_iter, None, 0, eta, strict)


def by_max(max_iter: int, s: int, eta: float = 3, strict: bool = False) -> Hyperband:
    return Hyperband(None, max_iter, s, eta, strict)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (by_min(3), [3, 9, 27, 81]),  # W&B's first example
        (by_max(27, 2), [3, 9]),  # and its second
        (by_max(27, 9), [1, 3, 9]),  # none below 1
        (by_min(2, eta=2), [2, 4, 8, 16, 32, 64]),
        (by_min(2, eta=1.5), [2, 3, 4, 6, 10, 15, 22, 34, 51, 76]),
    ],
)
def test_brackets(rule: Hyperband, expected: list[int]) -> None:
    assert brackets(rule, longest=100) == expected


def test_the_worst_is_stopped_at_its_bracket_and_not_before() -> None:
    rule = by_min(2, eta=2)
    histories = {0: [9.0], 1: [5.0, 4.0], 2: [5.0, 3.0], 3: [5.0, 2.0]}
    # Of 2, 3 and 4 at the first bracket, the threshold is the second: floor(3 / 2) better ones.
    assert to_stop(histories, {0, 1, 2, 3}, rule) == {1}
    assert to_stop(histories, {0, 2, 3}, rule) == set()  # trial 1 has ended by itself
    assert to_stop({**histories, 0: [9.0, 8.0]}, {0, 2}, rule) == {0}


def test_a_lone_trial_and_a_tie_go_on() -> None:
    assert to_stop({0: [1.0, 1.0]}, {0}, by_min(1)) == set()
    assert to_stop({0: [1.0], 1: [1.0]}, {0, 1}, by_min(1)) == set()


def test_strict_judges_the_value_at_the_bracket() -> None:
    histories = {0: [1.0, 9.0], 1: [5.0, 4.0], 2: [5.0, 3.0]}
    assert to_stop(histories, {0}, by_min(2)) == set()  # its best is better than all
    assert to_stop(histories, {0}, by_min(2, strict=True)) == {0}


def test_what_is_no_number_is_stopped() -> None:
    """B8: a trial that logged NaN was never stopped; it is behind whatever the others have."""
    inf = float("inf")
    assert to_stop({0: [inf, inf], 1: [5.0, 4.0]}, {0, 1}, by_min(1)) == {0}
    assert to_stop({0: [1.0, inf], 1: [5.0, 4.0]}, {0}, by_min(1)) == {0}
    assert to_stop({0: [inf]}, {0}, by_min(1)) == {0}
    assert to_stop({0: [inf]}, {0}, by_min(2)) == set()  # before its first bracket
    assert to_stop({0: [inf, 4.0], 1: [5.0, 4.0]}, {0, 1}, by_min(1)) == set()


def test_the_last_bracket_reached_decides() -> None:
    rule = by_max(4, 2, eta=2)
    histories = {0: [3.0, 1.0, 1.0], 1: [2.0, 2.0, 2.0], 2: [1.0]}
    # At 1: of 1, 2, 3 the threshold is 2, which trial 0 misses; at 2 it leads.
    assert to_stop(histories, {0, 1, 2}, rule) == set()
    assert to_stop({0: [3.0], 1: [2.0], 2: [1.0]}, {0}, rule) == {0}
