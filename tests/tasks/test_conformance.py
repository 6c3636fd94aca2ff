"""Every task of ours keeps what `lightning_posenc.testing` asks of anybody's, in each setting that
has a solver.
"""

import inspect

import pytest

from lightning_posenc.catalogue.tasks import available
from lightning_posenc.testing import Check, task_checks
from lightning_posenc.testing.samples import possible
from tests.tasks.solvers import all_solvers

SOLVERS = all_solvers()

# Settings that make so few different questions that fifty samples repeat some.
REPEATING = {
    "PositionPattern-3",
    "Passkey-start",
    "Passkey-third",
    "Passkey-end",
    "CountBetween-2",
    "CopyRepeated",
    "CopyRepeated-2x",
    "ReplaceRepeated",
    "SCAN",
}

# Settings that a bag of tokens answers at every length; all others need order.
WITHOUT_ORDER = {
    "Passkey-end",  # one digit
    "CopyRepeated",
    "CopyRepeated-2x",
    "ReplaceRepeated",
    "SumDigits",
    "ParityOfBits",
    "SortDigits",
    "SCAN",  # the few commands of the tests' file
    "ParityCheck",
    "CycleNavigation",
    "CycleNavigation-3",
    "MissingDuplicate",
}

LOWEST = {  # of each integer argument, the others being left at their defaults
    "PositionPattern": {"n_symbols": 1, "n_parts": 2},
    "Order": {"n_symbols": 1},
    "Shift": {"k": 1, "n_symbols": 2},
    "Reverse": {"n_symbols": 2},
    "Copy": {"n_symbols": 2},
    "SelectiveCopy": {"n_copied": 1, "n_symbols": 2},
    "AssociativeRecall": {"n_pairs": 1, "n_keys": 4, "n_values": 4},  # as many as pairs
    "Induction": {"n_symbols": 2},
    "Passkey": {"n_digits": 1, "n_filler": 1},
    "RelativeLookup": {"max_offset": 1, "n_symbols": 2},
    "IndexLookup": {"n_queries": 1, "n_digits": 1, "n_symbols": 2},
    "Sorting": {"n_symbols": 2},
    "CountBetween": {"max_count": 1, "n_symbols": 1},
    "Dyck": {"n_types": 2, "max_depth": 2},
    "GridLookup": {"rows": 1, "columns": 1, "n_symbols": 2},
    "GridReflection": {"n_symbols": 2},
    "TreeDistance": {"max_distance": 2},
    "CopyRepeated": {"n_symbols": 2, "times": 1},
    "ReplaceRepeated": {"n_symbols": 2},
    "CopyRandom": {"n_symbols": 2},
    "ReverseWords": {"n_symbols": 2},
    "WordOrder": {"n_nouns": 2, "n_adjectives": 2, "n_verbs": 1},
    "SortDigits": {"n_symbols": 2},
    "SortNumbers": {"max_digits": 2},
    "LEGO": {"n_variables": 2},
    "SCAN": {"longest_train": 1},
    "CycleNavigation": {"n_places": 2},
    "ModularArithmetic": {"modulus": 2},
    "ModularArithmeticBrackets": {"modulus": 2},
    "SolveEquation": {"modulus": 2},
    "ReverseString": {"n_symbols": 2},
    "DuplicateString": {"n_symbols": 2},
    "OddsFirst": {"n_symbols": 2},
    "BucketSort": {"n_symbols": 2},
}


def test_every_task_has_a_solver():
    assert {type(task).__name__ for task, _ in SOLVERS.values()} == set(available())


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}-{check.name}")
        for name, (task, solver) in SOLVERS.items()
        for check in task_checks(task, solver, repeats=name in REPEATING)
    ],
)
def test_every_promise_is_kept(check: Check):
    check()


@pytest.mark.parametrize("name", available())
def test_arguments_too_small(name):
    kind = available()[name]
    counts = {k for k, v in inspect.signature(kind).parameters.items() if v.annotation is int}
    lowest = LOWEST.get(name, {})
    assert counts == set(lowest), f"{name}: say in LOWEST how small its integer arguments may be"
    for argument, low in lowest.items():
        kind(**{argument: low})
        for value in {0, low - 1}:
            remedy = f"^{name}: {argument}={value} must be at least {low}$"
            with pytest.raises(ValueError, match=remedy):
                kind(**{argument: value})


@pytest.mark.parametrize("name", SOLVERS)
def test_without_order_only_some_can_be_solved(name):
    task = SOLVERS[name][0]
    longest = possible(task, [task.min_length, 5, 16, 40])[-1]
    assert (task.bag_of_tokens_bound(longest) < 1) == (name not in WITHOUT_ORDER)
