"""Bounds of the tasks of Kazemnejad et al. 2023 against an enumeration of all samples."""

from itertools import permutations, product

import pytest

from lightning_posenc.tasks import (
    IGNORE,
    LEGO,
    SCAN,
    Addition,
    CopyRandom,
    CopyRepeated,
    ParityOfBits,
    PolynomialEvaluation,
    ReplaceRepeated,
    ReverseWords,
    SortDigits,
    SortNumbers,
    SumDigits,
)
from tests.tasks import helpers
from tests.tasks.solvers.algorithmic import SCAN_FILE, encode


def best_accuracy(task, lines):
    """Share of scored tokens that a predictor gets that sees the bag so far and its own token.

    Args:
        lines: (weight, printed line).
    """

    def cases():
        for weight, line in lines:
            tokens, targets = encode(task, line)
            for t, target in enumerate(targets):
                if target != IGNORE:
                    yield weight, (helpers.bag(tokens[: t + 1]), tokens[t]), target

    return helpers.best_accuracy(cases())


def words(n_symbols, length):
    return product([f"s{i}" for i in range(n_symbols)], repeat=length)


def line(prompt, *answers):
    return f"{' '.join(prompt)} -> {' ; '.join(' '.join(answer) for answer in answers)} <end>"


@pytest.mark.parametrize("n_symbols", [2, 3])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_bounds_of_copies_and_reversals(n_symbols, length):
    def cases(*answers):
        for word in words(n_symbols, length):
            parts = {"copy": word, "reverse": word[::-1]}
            yield 1, line([*word, "="], *(parts[name] for name in answers))

    for task, answers in (
        (CopyRandom(n_symbols), ["copy"]),
        (CopyRandom(n_symbols, twice=True), ["copy"] * 2),
        (ReverseWords(n_symbols), ["reverse"]),
        (ReverseWords(n_symbols, "reverse"), ["reverse"] * 2),
        (ReverseWords(n_symbols, "copy"), ["reverse", "copy"]),
    ):
        best, bound = best_accuracy(task, cases(*answers)), task.bag_of_tokens_bound(length)
        assert best <= bound + 1e-9
        assert bound < 1 or length == 1


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_bounds_of_what_needs_no_order(length):
    symbols = [f"s{i}" for i in range(3)]
    digits = [word for word in product("123456789", repeat=length) if length < 4]
    for task, lines in (
        (CopyRepeated(3), [line([s] * length + ["="], [s] * length) for s in symbols]),
        (CopyRepeated(3, 2), [line([s] * length + ["="], [s] * length * 2) for s in symbols]),
        (
            ReplaceRepeated(3),
            [
                line([s, ">", z, ":", *[s] * length, "="], [z] * length)
                for s, z in permutations(symbols, 2)
            ],
        ),
        (SortDigits(3), [line([*w, "="], sorted(w)) for w in words(3, length)]),
        (SumDigits(), [line([*w, "="], str(sum(map(int, w)) % 10)) for w in digits]),
        (
            ParityOfBits(),
            [
                line([*w, "?"], ["no" if w.count("1") % 2 else "yes"])
                for w in product("01", repeat=length)
            ],
        ),
    ):
        if lines:
            assert best_accuracy(task, [(1, printed) for printed in lines]) == 1
        assert task.bag_of_tokens_bound(length) == 1


@pytest.mark.parametrize("length", [1, 2])
def test_bound_of_addition(length):
    def cases():
        for n_a, n_b in product(range(1, length + 1), repeat=2):
            if max(n_a, n_b) == length:
                ranges = [range(10 ** (n - 1) if n > 1 else 0, 10**n) for n in (n_a, n_b)]
                weight = 1 / len(ranges[0]) / len(ranges[1])
                for a, b in product(*ranges):
                    yield weight, line([*str(a), "+", *str(b), "="], str(a + b))

    best, bound = best_accuracy(Addition(), cases()), Addition().bag_of_tokens_bound(length)
    assert best <= bound + 1e-9
    assert bound == 1  # loose: it falls below 1 for more digits
    assert Addition().bag_of_tokens_bound(20) < 1


@pytest.mark.parametrize(("max_digits", "length"), [(2, 1), (2, 2), (3, 1)])
def test_bound_of_sorting_numbers(max_digits, length):
    def cases():
        for numbers in product(map(str, range(10, 10**max_digits)), repeat=length):
            asked, said = (
                " , ".join(map(" ".join, n)) for n in (numbers, sorted(numbers, key=int))
            )
            yield 1, f"{asked} = -> {said} <end>"

    task = SortNumbers(max_digits)
    best, bound = best_accuracy(task, cases()), task.bag_of_tokens_bound(length)
    assert best <= bound + 1e-9
    assert bound < 1 or length == 1


@pytest.mark.parametrize("length", [1, 2])
def test_bound_of_polynomials(length):
    def minus(value):
        return f"- {-value}" if value < 0 else str(value)

    def cases():
        for x in range(-2, 3):
            for terms in product(product(range(-3, 4), range(4)), repeat=length):
                shown = " + ".join(f"{minus(c)} x ^ {e}" for c, e in terms)
                value = sum(c * x**e for c, e in terms) % 10
                yield 1, f"x = {minus(x)} : {shown} ? -> {value} <end>"

    task = PolynomialEvaluation()
    best, bound = best_accuracy(task, cases()), task.bag_of_tokens_bound(length)
    assert best <= bound + 1e-9
    assert bound < 1 or length == 1


@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_bound_of_lego(length):
    task = LEGO(length)

    def cases():
        for names in permutations("abcdef"[:length]):
            for signs in product("+-", repeat=length):
                chain = zip(names, signs, ["1", *names], strict=False)
                shown = " , ".join(f"{name} = {sign} {other}" for name, sign, other in chain)
                for asked in range(-(-length // 2), length):
                    odd = signs[: asked + 1].count("-") % 2
                    yield 1, f"{shown} . {names[asked]} ? -> {'+-'[odd]} <end>"

    assert task.bag_of_tokens_bound(length) == pytest.approx(best_accuracy(task, cases()))


@pytest.mark.parametrize("length", [3, 4, 10])
def test_bound_of_scan(length):
    task = SCAN(str(SCAN_FILE), longest_train=4)
    low = 1 if length <= 4 else 5
    cases = []
    for row in SCAN_FILE.read_text().splitlines():
        command, actions = row.removeprefix("IN:").split("OUT:")
        if low <= len(actions.split()) <= length:
            cases.append((1, f"{command} = -> {actions} <end>"))
    best = best_accuracy(task, cases)
    assert task.bag_of_tokens_bound(length) == pytest.approx(best)
    assert best < 1 or length == 10


def test_bounds_say_something_and_are_quick():
    for task in (CopyRandom(), ReverseWords(), Addition(), SortNumbers(), LEGO(200)):
        bounds = [task.bag_of_tokens_bound(length) for length in (4, 20, 40, 200)]
        # Numbers to sort collide more often the more there are.
        assert isinstance(task, SortNumbers) or bounds == sorted(bounds, reverse=True)
        assert bounds[1] < 1
        assert bounds[-1] < 0.9
