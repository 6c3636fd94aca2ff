"""The formal-language tasks: golden samples, shapes of the source, distributions."""

import math
from collections import Counter

import pytest
import torch

from lightning_posenc.tasks import formal, generate
from tests.tasks.formal_spaces import SPACES
from tests.tasks.helpers import assert_follows
from tests.tasks.solvers import solve
from tests.tasks.solvers.formal import SOLVERS

ANSWER_LENGTHS = {  # of the source, by the length n of the question
    "StackManipulation": lambda n: n + 1,
    "ReverseString": lambda n: n,
    "DuplicateString": lambda n: 2 * n,
    "OddsFirst": lambda n: n,
    "BucketSort": lambda n: n,
    "BinaryAddition": lambda n: n + 1,
    "BinaryMultiplication": lambda n: n,
    "ComputeSqrt": lambda n: math.ceil(n / 2),
}
TASKS = [task for task, _ in SOLVERS.values()]
each_task = pytest.mark.parametrize("task", TASKS, ids=SOLVERS)


def test_all_tasks_are_here():
    assert {type(task).__name__ for task in TASKS} == set(formal.__all__)
    assert len(formal.__all__) == 15


@pytest.mark.parametrize("name", ["BinaryAddition", "BinaryMultiplication", "ComputeSqrt"])
@pytest.mark.parametrize("length", [131, 300])
def test_numbers_of_many_digits(name, length):
    solve(*SOLVERS[name], 100, length, "test")


# Worked by hand. The questions are samples found by searching for them, so that the generator's
# own answer is what is compared.
GOLDEN = [
    (formal.EvenPairs(), "0 0 1 1 1 0", "even"),  # one 01, one 10
    (formal.EvenPairs(), "0 1 0 1", "odd"),  # 01, 10, 01
    (formal.ParityCheck(), "0 1 1 1 1", "even"),
    (formal.CycleNavigation(), "+1 +1 +1 -1", "2"),
    (formal.CycleNavigation(), "-1 0 -1", "3"),  # -2 = 3 modulo 5
    (formal.ModularArithmetic(), "1 + 2 * 3", "2"),  # 7
    (formal.ModularArithmetic(), "1 - 1 - 1", "4"),  # -1
    (formal.ModularArithmetic(), "4 - 3 * 4", "2"),  # 4 - 12 = -8
    (formal.ModularArithmeticBrackets(), "( 2 * 3 )", "1"),
    (formal.ModularArithmeticBrackets(), "( - 3 )", "2"),
    (formal.ModularArithmeticBrackets(), "( 1 - - 3 )", "4"),
    (formal.SolveEquation(), "( x - 2 ) = 4", "1"),  # 6 - 2 = 4, and 6 is 1
    (formal.SolveEquation(), "- x = 2", "3"),
    (formal.StackManipulation(), "0 1 push1 pop", "1 0 end"),
    (formal.StackManipulation(), "1 pop pop", "end"),
    (formal.StackManipulation(), "1 pop pop push0", "0 end"),  # the second pop finds nothing
    (formal.ReverseString(), "0 1 1 0 1", "1 0 1 1 0"),
    (formal.DuplicateString(), "1 0 1", "1 0 1 1 0 1"),
    (formal.MissingDuplicate(), "0 1 ? 1", "0"),
    (formal.MissingDuplicate(), "1 0 1 1 0 ? .", "1"),
    (formal.OddsFirst(), "0 0 1 1 0 1", "0 1 1 0 1 0"),
    (formal.BucketSort(), "1 0 2 0 4", "0 0 1 2 4"),
    (formal.BinaryAddition(), "0 1 + 1 1 0", "1 0 1 end"),  # 2 + 3 = 5
    (formal.BinaryAddition(), "1 1 + 1", "0 0 1 end"),  # 3 + 1 = 4
    (formal.BinaryMultiplication(), "0 1 * 1 1 0", "0 1 1 end"),  # 2 * 3 = 6
    (formal.BinaryMultiplication(), "1 1 * 1 1", "1 0 0 1 end"),  # 9
    (formal.ComputeSqrt(), "1 0 0 1 0 1", "1 1 0"),  # 37
    (formal.ComputeSqrt(), "0 1 0 0 0", "0 1 0"),  # 8, in 3 digits
]


@pytest.mark.parametrize(("task", "question", "answer"), GOLDEN)
def test_worked_by_hand(task, question, answer):
    length = len(question.split())
    symbols = {symbol: i for i, symbol in enumerate(task.symbols)}
    tokens = torch.tensor([symbols[symbol] for symbol in question.split()])
    sample = generate(task, 0, "train", torch.arange(60_000), length)
    same = (sample.tokens[:, :length] == tokens).all(1).nonzero()
    assert len(same), "the question was never drawn"
    row = int(same[0])
    shown = task.show(sample.tokens[row].tolist(), sample.targets[row].tolist())
    assert shown == f"{question}  ->  {answer}"


@each_task
def test_shapes_are_those_of_the_source(task):
    name = type(task).__name__
    assert len(task.answers) == task.n_classes
    for length in (1, 2, 3, 4, 11, 12):
        n_question = length - (length + 1) % 2 if name == "ModularArithmetic" else length
        n_answer = ANSWER_LENGTHS.get(name, lambda n: 1)(length)
        sample = generate(task, 0, "train", torch.arange(5), length)
        assert task.width(length) == n_question + n_answer
        assert (sample.tokens[:, n_question:] == task.vocab_size - 1).all()
        assert sample.lengths is None
        assert sample.focus is None
        assert sample.positions is None


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("length", [5, 7])
def test_questions_are_distributed_as_in_the_source(name, length):
    task, space, _ = SPACES[name]
    expected: Counter[str] = Counter()
    for p, question in space(length, task):
        expected[" ".join(question)] += p
    total = sum(expected.values())
    n = 40_000
    sample = generate(task, 0, "test", torch.arange(n), length)
    # Equal rows are counted first and printed once.
    code = sample.tokens[:, :length] @ task.vocab_size ** torch.arange(length)
    _, kind, counts = code.unique(return_inverse=True, return_counts=True)
    example = torch.empty_like(counts).scatter_(0, kind, torch.arange(n))
    printed = [
        task.show(sample.tokens[i].tolist(), sample.targets[i].tolist()).split("  ->")[0]
        for i in example.tolist()
    ]
    seen = Counter(dict(zip(printed, counts.tolist(), strict=True)))
    assert set(seen) <= set(expected)
    assert seen.total() == n
    # Pearson's statistic and its exact variance, in which small means count.
    k = len(expected)
    means = {question: n * p / total for question, p in expected.items()}
    statistic = sum((seen[question] - mean) ** 2 / mean for question, mean in means.items())
    variance = 2 * (k - 1) + sum(1 / mean for mean in means.values()) - (k * k + 2 * k - 2) / n
    assert abs(statistic - (k - 1)) < 5 * variance**0.5


def test_the_number_of_digits_splits_uniformly():
    sample = generate(formal.BinaryAddition(), 0, "test", torch.arange(30_000), 62)
    place = (sample.tokens == 2).long().argmax(1)
    assert_follows(place - 1, [1] * 60)
    # Every digit of a long number is a fair coin.
    digits = sample.tokens[place == 60][:, :60]
    for digit in digits.T:
        assert_follows(digit, [1, 1])


def test_depth_of_long_expressions():
    # The size of the first side of a whole expression is uniform in 1..n-4.
    n, task = 40, formal.ModularArithmeticBrackets()
    tokens = generate(task, 0, "train", torch.arange(9000), n).tokens[:, :n]
    opens, closes, minus = (tokens == task.symbols.index(symbol) for symbol in "()-")
    depth = (opens.long() - closes.long()).cumsum(1)
    # It ends where no bracket but the outermost is open, behind the digit of a sign.
    ends = (depth == 1) & ~minus
    ends[:, 0] = False
    assert_follows(ends.int().argmax(1) - 1, [1] * (n - 4))
