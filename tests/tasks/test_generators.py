"""Each generator against a solver that reads one sequence at a time in plain Python."""

import inspect
import pickle

import pytest
import torch

from lightning_posenc import tasks
from lightning_posenc.tasks import IGNORE, Copy, Order, PositionPattern, Reverse, Shift, generate
from tests.tasks.solvers import all_solvers


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


CASES = [
    pytest.param(PositionPattern(), solve_position_pattern, id="PositionPattern"),
    pytest.param(PositionPattern(1, 3), solve_position_pattern, id="PositionPattern-3"),
    pytest.param(Order(), solve_order, id="Order"),
    pytest.param(Shift(), solve_shift, id="Shift"),
    pytest.param(Shift(3, 5), solve_shift, id="Shift-3"),
    pytest.param(Reverse(), solve_reverse, id="Reverse"),
    pytest.param(Copy(), solve_copy, id="Copy"),
]
TASKS = [PositionPattern(), Order(), Shift(2), Reverse(), Copy()]
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)


def test_every_exported_task_has_a_solver():
    exported = {getattr(tasks, name) for name in tasks.__all__}
    concrete = {
        kind
        for kind in exported
        if isinstance(kind, type) and issubclass(kind, tasks.Task) and not inspect.isabstract(kind)
    }
    solved = {type(task) for task in TASKS} | {type(task) for task, _ in all_solvers().values()}
    assert concrete - solved == {tasks.Mixture}  # its tasks have; test_mixture.py
    assert {type(case.values[0]) for case in CASES} == {type(task) for task in TASKS}


@pytest.mark.parametrize(("task", "solve"), CASES)
@pytest.mark.parametrize("spare", [0, 1, 2, 15])
def test_answers_are_those_of_the_solver(task, solve, spare):
    length = task.min_length + spare
    sample = generate(task, 0, "train", torch.arange(1000), length)
    focus = [None] * 1000 if sample.focus is None else sample.focus.tolist()
    rows = zip(sample.tokens.tolist(), sample.targets.tolist(), focus, strict=True)
    for tokens, target, place in rows:
        assert (target, place) == solve(task, tokens)


@each_task
def test_shapes_and_ranges(task):
    sample = generate(task, 0, "train", torch.arange(2000), 12)
    assert sample.tokens.shape == (2000, 12)
    assert sample.targets.shape == ((2000,) if task.kind == "sequence" else (2000, 12))
    assert sample.tokens.dtype == sample.targets.dtype == torch.int64
    # Every token and every class occurs, and no other.
    assert sample.tokens.unique().tolist() == list(range(task.vocab_size))
    scored = sample.targets[sample.targets != IGNORE]
    assert scored.unique().tolist() == list(range(task.n_classes))


@each_task
def test_labels_are_balanced(task):
    targets = generate(task, 0, "train", torch.arange(20_000), 13).targets
    counts = targets[targets != IGNORE].bincount().double()
    share = 1 / task.n_classes
    n = counts.sum()
    error = (share * (1 - share) / n) ** 0.5
    assert ((counts / n - share).abs() < 5 * error).all()


@each_task
def test_a_sample_depends_on_its_own_number_alone(task):
    index = torch.tensor([3, 14, 15, 2**33, 9])
    whole = generate(task, 7, "val", index, 10)
    order = torch.tensor([4, 0, 2, 3, 1])
    for field, shuffled in zip(whole, generate(task, 7, "val", index[order], 10), strict=True):
        assert (field is None) == (shuffled is None)
        if field is not None:
            assert torch.equal(field[order], shuffled)
    alone = torch.cat([generate(task, 7, "val", i[None], 10).tokens for i in index])
    assert torch.equal(alone, whole.tokens)


@each_task
def test_seeds_and_splits_differ(task):
    index = torch.arange(50)
    tokens = generate(task, 0, "train", index, 16).tokens
    assert not torch.equal(tokens, generate(task, 1, "train", index, 16).tokens)
    assert not torch.equal(tokens, generate(task, 0, "val", index, 16).tokens)
    assert len(tokens.unique(dim=0)) == 50


@each_task
def test_survives_pickling(task):
    index = torch.arange(5)
    copy = pickle.loads(pickle.dumps(task))
    assert torch.equal(
        generate(copy, 0, "a", index, 9).tokens, generate(task, 0, "a", index, 9).tokens
    )


@each_task
def test_too_short(task):
    short = task.min_length - 1
    remedy = rf"^{type(task).__name__} .* length {short}: .* at least {task.min_length}$"
    with pytest.raises(ValueError, match=remedy):
        generate(task, 0, "train", torch.arange(2), short)
    with pytest.raises(ValueError, match=remedy):
        task.bag_of_tokens_bound(short)


@each_task
def test_the_bound_lies_between_chance_and_certainty(task):
    bounds = [task.bag_of_tokens_bound(length) for length in (5, 16, 40)]
    assert all(1 / task.n_classes <= bound < 1 for bound in bounds)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PositionPattern(n_symbols=0),
        lambda: PositionPattern(n_parts=1),
        lambda: Order(n_symbols=0),
        lambda: Shift(k=0),
        lambda: Shift(n_symbols=1),
        lambda: Reverse(n_symbols=1),
        lambda: Copy(n_symbols=1),
    ],
)
def test_arguments_too_small(make):
    with pytest.raises(ValueError, match=r"^\w+: \w+ must be at least [12], not [01]$"):
        make()


def test_the_marker_is_uniform_within_its_part():
    # Length 10 in 4 parts: parts of 3, 2, 3 and 2 places, each part with a quarter of the mass.
    focus = generate(PositionPattern(), 0, "train", torch.arange(40_000), 10).focus
    assert focus is not None
    share = focus.bincount().double() / 40_000
    expected = torch.tensor([1 / 12] * 3 + [1 / 8] * 2 + [1 / 12] * 3 + [1 / 8] * 2)
    assert torch.allclose(share, expected.double(), atol=0.008)
