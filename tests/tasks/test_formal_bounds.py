"""Bounds of the formal-language tasks against an enumeration of all questions."""

import pytest

from lightning_posenc.tasks.formal import ModularArithmetic
from tests.tasks.formal_spaces import SPACES
from tests.tasks.helpers import bag, best_accuracy
from tests.tasks.solvers.formal import SOLVERS

EXACT = {
    "EvenPairs",
    "ParityCheck",
    "CycleNavigation",
    "ReverseString",
    "DuplicateString",
    "MissingDuplicate",
    "OddsFirst",
    "BucketSort",
}


def answers(length, task, space, solve):
    """Each answer token that can be asked for, from the bag of its question."""
    for p, question in space(length, task):
        seen = bag(question)
        for symbol in solve(task, list(question)):
            yield p, seen, symbol


@pytest.mark.parametrize("name", SPACES)
def test_the_bound_against_an_enumeration(name):
    task, space, solve = SPACES[name]
    plain = name == "ModularArithmetic"  # makes odd lengths alone
    for length in range(3, 10, 2 if plain else 1):
        best = best_accuracy(answers(length, task, space, solve))
        bound = task.bag_of_tokens_bound(length)
        # Modulus 3 leaves words of up to 4 digits to be enumerated: 7 tokens.
        if name in EXACT or (plain and length <= 7):
            assert bound == pytest.approx(best), length
        else:
            assert best - 1e-9 <= bound <= 1, length


@pytest.mark.parametrize("task", [task for task, _ in SOLVERS.values()], ids=SOLVERS)
def test_bounds_of_long_questions(task):
    bounds = [task.bag_of_tokens_bound(n) for n in (41, 81, 161)]
    assert all(1 / task.n_classes - 1e-12 <= bound <= 1 for bound in bounds)
    if bounds[0] < 1:  # order matters ever more
        assert bounds == sorted(bounds, reverse=True)


def test_bounds_of_an_even_length_of_plain_arithmetic():
    task = ModularArithmetic()
    assert task.bag_of_tokens_bound(12) == task.bag_of_tokens_bound(11)
