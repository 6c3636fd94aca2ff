"""The bounds without positions, against an enumeration of everything a task can make."""

import math
from collections import defaultdict
from itertools import permutations

import pytest
import torch

from lightning_posenc.tasks import Copy, Order, PositionPattern, Reverse, Shift, generate
from lightning_posenc.tasks.bounds.mode import expected_mode, guess_another
from tests.tasks.helpers import bag, best_accuracy, words


def shift_cases(n_symbols, length, k):
    for word in words(n_symbols, length):
        for t in range(k, length):
            yield 1, (bag(word), word[t]), word[t - k]


def reverse_cases(n_symbols, length):
    for word in words(n_symbols, length):
        for t in range(length):
            yield 1, (bag(word), word[t]), word[length - 1 - t]


def copy_cases(n_symbols, length):
    for word in words(n_symbols, (length - 1) // 2):
        for symbol in word:
            yield 1, bag(word), symbol


def order_cases(n_symbols, length):
    for noise in words(n_symbols, length):
        for a, b in permutations(range(length), 2):
            tokens = list(noise)
            tokens[a], tokens[b] = "A", "B"
            yield 1, bag(tokens), a < b


def pattern_cases(n_symbols, length, n_parts):
    places = defaultdict(list)
    for p in range(length):
        places[p * n_parts // length].append(p)
    for noise in words(n_symbols, length):
        for part, inside in places.items():
            for p in inside:
                tokens = list(noise)
                tokens[p] = n_symbols
                yield 1 / len(inside), bag(tokens), part


each_alphabet = pytest.mark.parametrize("n_symbols", [2, 3])


@each_alphabet
@pytest.mark.parametrize("length", [2, 3, 4, 5, 6, 7])
def test_shift(n_symbols, length):
    for k in {1, length - 1}:
        bound = Shift(k, n_symbols).bag_of_tokens_bound(length)
        assert bound == pytest.approx(best_accuracy(shift_cases(n_symbols, length, k)))


@each_alphabet
@pytest.mark.parametrize("length", [2, 3, 4, 5, 6, 7])
def test_reverse(n_symbols, length):
    bound = Reverse(n_symbols).bag_of_tokens_bound(length)
    assert bound == pytest.approx(best_accuracy(reverse_cases(n_symbols, length)))


@each_alphabet
@pytest.mark.parametrize("length", [3, 4, 5, 6, 12, 13])
def test_copy(n_symbols, length):
    bound = Copy(n_symbols).bag_of_tokens_bound(length)
    assert bound == pytest.approx(best_accuracy(copy_cases(n_symbols, length)))


@pytest.mark.parametrize("length", [2, 3, 4])
def test_order(length):
    cases = order_cases(2, length)
    assert Order(2).bag_of_tokens_bound(length) == pytest.approx(best_accuracy(cases))


@pytest.mark.parametrize(("length", "n_parts"), [(2, 2), (3, 2), (5, 2), (4, 3), (5, 4)])
def test_position_pattern(length, n_parts):
    bound = PositionPattern(2, n_parts).bag_of_tokens_bound(length)
    assert bound == pytest.approx(best_accuracy(pattern_cases(2, length, n_parts)))


@pytest.mark.parametrize(("n", "n_symbols"), [(64, 16), (300, 5), (10, 50)])
def test_long_sequences_against_samples(n, n_symbols):
    tokens = generate(Reverse(n_symbols), 0, "bag", torch.arange(10_000), n).tokens
    counts = torch.stack([(tokens == symbol).sum(1) for symbol in range(n_symbols)], 1).double()
    top = counts.topk(2).values
    modes = top[:, 0]
    error = modes.std().item() / math.sqrt(len(modes))
    assert expected_mode(n, n_symbols) == pytest.approx(modes.mean().item(), abs=5 * error)
    other = torch.where(top[:, 0] > top[:, 1], modes / n, modes / (n - 1))
    error = other.std().item() / math.sqrt(len(other))
    assert guess_another(n, n_symbols) == pytest.approx(other.mean().item(), abs=5 * error)


def test_two_symbols_have_a_closed_form():
    # E[max(k, n - k)] of a fair coin tossed n times, n even: n/2 + n/2^n * C(n-1, n/2).
    for n in (2, 10, 100):
        exact = n / 2 + n * math.comb(n - 1, n // 2) / 2**n
        assert expected_mode(n, 2) == pytest.approx(exact, rel=1e-12)


def test_nothing_is_left_to_guess():
    assert expected_mode(1, 7) == 1
    assert guess_another(2, 5) == pytest.approx(1)
