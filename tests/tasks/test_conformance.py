"""What holds of every task of the package, in each setting that has a solver."""

import inspect
import pickle

import pytest
import torch

from lightning_posenc import Dims, Encoder, tasks
from lightning_posenc.catalogue.tasks import available, example_length
from lightning_posenc.data.synthetic import SyntheticData
from lightning_posenc.positional import NoPE
from lightning_posenc.tasks import IGNORE, DecoderTask, Sample, TreeDistance, generate
from tests.tasks.helpers import possible
from tests.tasks.solvers import all_solvers, solve, solve_sample

SOLVERS = all_solvers()
each_name = pytest.mark.parametrize("name", SOLVERS)
each_task = pytest.mark.parametrize("task", [task for task, _ in SOLVERS.values()], ids=SOLVERS)

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


def test_every_task_has_a_baseline_without_positions():
    """F11: NoPE refused the places of grids and trees, so three tasks had none."""
    for task in {type(task): task for task, _ in SOLVERS.values()}.values():
        made = generate(task, 0, "train", torch.arange(2), example_length(task, 12))
        x = torch.nn.functional.one_hot(made.tokens, max(task.vocab_size, 8))[..., :8].float()
        encoded = Encoder(Dims(8, 1, 1), NoPE)(x, lengths=made.lengths, positions=made.positions)
        assert encoded.isfinite().all(), task


@each_name
def test_answers_are_those_of_the_solver(name):
    task, solver = SOLVERS[name]
    first = task.min_length
    for length in possible(task, [*range(first, first + 13), first + 19, first + 33]):
        solve(task, solver, 100, length)


@each_name
def test_long_answers_are_those_of_the_solver(name):
    task, solver = SOLVERS[name]
    for length in possible(task, [64, 131, 300]):
        solve(task, solver, 1500 // length, length, "test")


@each_name
def test_solvers_notice_a_wrong_answer(name):
    task, solver = SOLVERS[name]
    sample = generate(task, 0, "train", torch.arange(50), example_length(task, 20))
    scored = (sample.targets != IGNORE).view(50, -1)
    row = int(scored.any(1).nonzero()[0])
    for place in scored[row].nonzero()[[0, -1], 0].tolist():
        wrong = sample.targets[row : row + 1].clone()
        wrong.view(-1)[place] = (wrong.view(-1)[place] + 1) % task.n_classes
        alone = Sample(*(None if field is None else field[row : row + 1] for field in sample))
        solve_sample(task, solver, alone)
        with pytest.raises(AssertionError):
            solve_sample(task, solver, alone._replace(targets=wrong))


@each_task
def test_shapes_and_types(task):
    for length in possible(task, [task.min_length, task.min_length + 1, 4, 11, 12, 24]):
        sample = generate(task, 0, "train", torch.arange(5), length)
        width = task.width(length)
        assert sample.tokens.shape == (5, width)
        assert sample.targets.shape == ((5,) if task.kind == "sequence" else (5, width))
        assert {field.dtype for field in sample if field is not None} == {torch.int64}
        if sample.focus is not None:
            assert sample.focus.shape == (5,)
            assert 0 <= sample.focus.min() <= sample.focus.max() < width
        if sample.lengths is not None:
            assert sample.lengths.shape == (5,)
            assert 1 <= sample.lengths.min() <= sample.lengths.max() <= width
        if sample.positions is not None:
            assert sample.positions.shape[:2] == (5, width)


@each_task
def test_every_token_and_every_class_occurs_and_no_other(task):
    # 24 shows no place beyond 99 and few long paths in trees: hence 100.
    sizes = [(length, 1000) for length in possible(task, [4, 13, 14, 24])]
    sizes += [(length, 300) for length in possible(task, [100])]
    samples = [generate(task, 0, "train", torch.arange(n), length) for length, n in sizes]
    tokens = torch.cat([sample.tokens.flatten().unique() for sample in samples]).unique()
    assert tokens.tolist() == list(range(task.vocab_size))
    classes = set(torch.cat([sample.targets.flatten().unique() for sample in samples]).tolist())
    if isinstance(task, DecoderTask):  # some tokens stand in prompts alone
        assert classes - {IGNORE} <= set(range(task.n_classes))
    else:
        assert classes - {IGNORE} == set(range(task.n_classes))
    if task.symbols is not None:
        assert len(task.symbols) == len(set(task.symbols)) == task.vocab_size


def assert_same(sample, other):
    """The same fields with the same values."""
    for field, its in zip(sample, other, strict=True):
        assert (field is None) == (its is None)
        assert field is None or torch.equal(field, its)


@each_task
def test_a_sample_depends_on_its_own_number_alone(task):
    index = torch.tensor([3, 14, 15, 2**33, 9])
    order = torch.tensor([4, 0, 2, 3, 1])
    for length in possible(task, [task.min_length, 10, 41]):
        whole = generate(task, 7, "val", index, length)

        def of(numbers, whole=whole):
            return Sample(*(None if field is None else field[numbers] for field in whole))

        assert_same(generate(task, 7, "val", index[order], length), of(order))
        for i in range(len(index)):
            assert_same(generate(task, 7, "val", index[i, None], length), of([i]))


@each_task
def test_survives_pickling(task):
    index, length = torch.arange(5), example_length(task, 9)
    copy = pickle.loads(pickle.dumps(task))
    assert_same(generate(copy, 0, "a", index, length), generate(task, 0, "a", index, length))


@each_name
def test_seeds_splits_and_numbers_differ(name):
    task = SOLVERS[name][0]
    index, length = torch.arange(50), example_length(task, 24)

    def shown(seed, split):
        sample = generate(task, seed, split, index, length)
        return torch.cat([sample.tokens, sample.targets.view(50, -1)], dim=1)

    assert not torch.equal(shown(0, "train"), shown(1, "train"))
    assert not torch.equal(shown(0, "train"), shown(0, "val"))
    different = len(shown(0, "train").unique(dim=0))
    assert different > 1 if name in REPEATING else different == 50


@each_name
def test_several_lengths_in_one_batch(name):
    task, solver = SOLVERS[name]
    low = task.min_length
    high = low
    while high < low + 11 and possible(task, [high + 1]):
        high += 1
    data = SyntheticData(task, train_length=[low, high], batch_size=64)
    if isinstance(task, TreeDistance):
        with pytest.raises(ValueError, match="TreeDistance places tokens relative to each other"):
            next(iter(data.train_dataloader()))
        return
    batch = next(iter(data.train_dataloader()))
    assert batch.tokens.shape == (64, task.width(high))
    assert batch.targets.shape == ((64,) if task.kind == "sequence" else batch.tokens.shape)
    assert batch.lengths is not None
    assert len(batch.lengths.unique()) > 3
    solve_sample(
        task,
        solver,
        Sample(batch.tokens, batch.targets, lengths=batch.lengths, positions=batch.positions),
    )


@each_task
def test_too_short(task):
    short = task.min_length - 1
    remedy = rf" cannot make .* length {short}: .* at least {task.min_length}$"
    if not isinstance(task, tasks.Mixture):  # where one of its tasks speaks
        remedy = f"^{type(task).__name__}{remedy}"
    for refused in (
        lambda: task.check_length(short),
        lambda: generate(task, 0, "train", torch.arange(2), short),
        lambda: task.bag_of_tokens_bound(short),
    ):
        with pytest.raises(ValueError, match=remedy):
            refused()


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


@each_name
def test_the_bound_lies_between_chance_and_certainty(name):
    task = SOLVERS[name][0]
    bounds = [task.bag_of_tokens_bound(n) for n in possible(task, [task.min_length, 5, 16, 40])]
    assert all(1 / task.n_classes - 1e-12 <= bound <= 1 for bound in bounds)
    assert (bounds[-1] < 1) == (name not in WITHOUT_ORDER)
