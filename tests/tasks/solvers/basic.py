"""Solvers of the tasks that have a file of their own, and of mixtures of them."""

import pytest

from lightning_posenc.tasks import IGNORE, Copy, Mixture, Order, PositionPattern, Reverse, Shift


def solve_position_pattern(task, tokens):
    (p,) = (i for i, token in enumerate(tokens) if token == task.n_symbols)
    for part in range(task.n_parts):
        if part * len(tokens) <= p * task.n_parts < (part + 1) * len(tokens):
            return part, p
    raise AssertionError("no part holds the marker")


def solve_order(task, tokens):
    a, b = tokens.index(task.n_symbols), tokens.index(task.n_symbols + 1)
    assert tokens.count(task.n_symbols) == tokens.count(task.n_symbols + 1) == 1
    return int(a < b), a


def solve_shift(task, tokens):
    answers = []
    for t in range(len(tokens)):
        answers.append(tokens[t - task.k] if t >= task.k else IGNORE)
    return answers, None


def solve_reverse(task, tokens):
    return list(reversed(tokens)), None


def solve_copy(task, tokens):
    separator = tokens.index(task.n_classes)
    answers = [IGNORE] * len(tokens)
    for i in range(separator):
        assert tokens[separator + 1 + i] == task.n_classes + 1
        answers[separator + 1 + i] = tokens[i]
    # One spare blank at most, and only where an even length leaves one.
    assert tokens[2 * separator + 1 :] == [task.n_classes + 1] * (1 - len(tokens) % 2)
    return answers, None


CASES = [  # solvers that return the answers and the focus
    pytest.param(PositionPattern(), solve_position_pattern, id="PositionPattern"),
    pytest.param(PositionPattern(1, 3), solve_position_pattern, id="PositionPattern-3"),
    pytest.param(Order(), solve_order, id="Order"),
    pytest.param(Shift(), solve_shift, id="Shift"),
    pytest.param(Shift(3, 5), solve_shift, id="Shift-3"),
    pytest.param(Reverse(), solve_reverse, id="Reverse"),
    pytest.param(Copy(), solve_copy, id="Copy"),
]


def asserts(solve):
    """The solver that compares the answers of `solve` with the targets."""

    def check(task, tokens, targets):
        assert solve(task, tokens)[0] == targets

    return check


OF_TASK = {type(case.values[0]): asserts(case.values[1]) for case in CASES}


def solve_mixture(task, tokens, targets):
    named = task.tasks[tokens[0] - task.first]
    if isinstance(targets, list):
        assert targets[0] == IGNORE
        targets = targets[1:]
    OF_TASK[type(named)](named, tokens[1:], targets)


SOLVERS = {
    **{str(case.id): (case.values[0], asserts(case.values[1])) for case in CASES},
    "Mixture": (Mixture([Reverse(5), Copy(8)], weights=[1, 3]), solve_mixture),
    "Mixture-sequence": (Mixture([Order(), PositionPattern()]), solve_mixture),
}
