"""Tasks that find something: golden samples, bounds and distributions."""

from itertools import combinations, permutations, product

import pytest
import torch

from lightning_posenc.tasks import generate
from lightning_posenc.tasks.retrieval import (
    AssociativeRecall,
    CountBetween,
    IndexLookup,
    Induction,
    Passkey,
    RelativeLookup,
    SelectiveCopy,
    Sorting,
)
from tests.tasks.helpers import assert_follows, bag, best_accuracy, words

GOLDEN = [
    pytest.param(  # the three symbols among the blanks, in their order
        SelectiveCopy(3, 4), 7, "1 _ 3 _ _ 0 _ ? ? ?", "· · · · · · · 1 3 0", id="SelectiveCopy"
    ),
    pytest.param(  # k4 came with v8, k3 with v5; the other k3 is filler (slots 1 and 2 are asked)
        AssociativeRecall(2, 9, 9),
        12,
        "k4 v8 k3 v5 k4 k1 k3 k3 k7 k7 v1 k5",
        "· · · · v8 · v5 · · · · ·",
        id="AssociativeRecall",
    ),
    pytest.param(
        AssociativeRecall(2, 9, 9, random_filler=False),
        13,
        "k4 v8 k3 v5 k4 _ k3 _ _ _ _ _ _",
        "· · · · v8 · v5 · · · · · ·",
        id="AssociativeRecall-blanks",
    ),
    pytest.param(  # 1 follows the first !
        Induction(5), 7, "1 3 0 3 ! 1 !", "· · · · · · 1", id="Induction"
    ),
    pytest.param(  # the sentence starts again after the needle, where nothing is left of it
        Passkey(None, 2, 3),
        11,
        "w0 w1 w2 w0 w1 w2 KEY 2 7 ? ?",
        "· · · · · · · · · 2 7",
        id="Passkey",
    ),
    pytest.param(  # six words of filler, half of them before the needle
        Passkey(0.5, 2, 3),
        11,
        "w0 w1 w2 KEY 2 7 w0 w1 w2 ? ?",
        "· · · · · · · · · 2 7",
        id="Passkey-half",
    ),
    pytest.param(  # 3 back from place 0, 1 and 2 is before the start; 1 back from place 3 is 1
        RelativeLookup(3, 8),
        7,
        "2,3 6,3 1,3 5,1 5,3 2,3 1,1",
        "· · · 1 6 1 2",
        id="RelativeLookup",
    ),
    pytest.param(  # place 11, counted from 0, is the last of twelve: s2
        IndexLookup(2, 2, 6),
        12,
        "s1 s4 s1 s4 s4 s1 s1 s1 s5 s1 s4 s2 ? 1 1 ? 1 1",
        "· · · · · · · · · · · · · · s2 · · s2",
        id="IndexLookup",
    ),
    pytest.param(Sorting(8), 4, "2 6 1 5 | _ _ _ _", "· · · · · 1 2 5 6", id="Sorting"),
    pytest.param(  # both x are outside
        CountBetween(2, 3), 9, "x x < 0 2 1 2 2 >", "0", id="CountBetween"
    ),
]


@pytest.mark.parametrize(("task", "length", "line", "answers"), GOLDEN)
def test_golden_samples(task, length, line, answers):
    sample = generate(task, 0, "golden", torch.tensor([0]), length)
    shown = task.show(sample.tokens[0].tolist(), sample.targets[0].tolist())
    first, second = shown.split("->" if task.kind == "sequence" else "\n")
    assert (first.split(), second.split()) == (line.split(), answers.split())


def test_too_long():
    with pytest.raises(ValueError, match=r"^IndexLookup .* 101 .* at most 100, or more"):
        generate(IndexLookup(n_digits=2), 0, "train", torch.arange(2), 101)
    with pytest.raises(ValueError, match=r"^Sorting .* 9 .* at most n_symbols=8, or distinct="):
        generate(Sorting(8, distinct=True), 0, "train", torch.arange(2), 9)
    generate(IndexLookup(n_digits=2), 0, "train", torch.arange(2), 100)


def test_depth_out_of_range():
    with pytest.raises(ValueError, match=r"^Passkey: depth=1\.5 must be a number in \[0, 1\]$"):
        Passkey(depth=1.5)


# What can be had without positions, by enumeration.


def selective_copy_cases(n_copied, n_symbols):
    for word in words(n_symbols, n_copied):
        for symbol in word:
            yield 1, bag(word), symbol


def associative_recall_cases(n_keys, n_values, n_pairs, length, power, filler):
    n_slots = (length - 2 * n_pairs) // 2
    law = [i ** (power - 1) for i in range(1, n_slots + 1)]
    for keys, values, slots in product(
        permutations(range(n_keys), n_pairs),
        permutations(range(n_values), n_pairs),
        permutations(range(n_slots), n_pairs),
    ):
        weight, left = 1.0, sum(law)
        for slot in slots:  # one by one, with what weight is left
            weight *= law[slot] / left
            left -= law[slot]
        given = [f"k{key}" for key in keys] * 2 + [f"v{value}" for value in values]
        for rest in product(filler, repeat=length - 3 * n_pairs):
            for key, value in zip(keys, values, strict=True):
                yield weight, (bag([*given, *rest]), key), value


def induction_cases(n_symbols, length):
    for word in words(n_symbols, length - 2):
        for symbol in word:
            yield 1, bag(word), symbol


def relative_lookup_cases(max_offset, n_symbols, length):
    pairs = list(product(range(n_symbols), range(1, max_offset + 1)))
    for tokens in product(pairs, repeat=length):
        seen = bag(tokens)
        for t, (_, back) in enumerate(tokens):
            if back <= t:
                yield 1, (seen, tokens[t]), tokens[t - back][0]


def index_lookup_cases(n_queries, n_symbols, length):
    for word in words(n_symbols, length):
        for index in product(range(length), repeat=n_queries):
            digits = "".join(f"{i:02d}" for i in index)
            for i in index:
                yield 1, (bag(word), bag(digits), i % 10), word[i]


def sorting_cases(n_symbols, length, distinct):
    for word in words(n_symbols, length):
        if not distinct or len(set(word)) == length:
            for number in sorted(word):
                yield 1, bag(word), number


def count_between_cases(max_count, n_symbols, length):
    for count in range(max_count + 1):
        gaps = range(max_count, length - 1 - max_count)
        for gap in gaps:
            for start in range(length - 1 - gap):
                inner = range(start + 1, start + 1 + gap)
                outer = [t for t in range(length) if t < start or t > start + 1 + gap]
                ways = [
                    {*some, *others}
                    for some in combinations(inner, count)
                    for others in combinations(outer, max_count - count)
                ]
                share = 1 / (max_count + 1) / len(gaps) / (length - 1 - gap) / len(ways)
                for way in ways:
                    for noise in words(n_symbols, length):
                        tokens = ["x" if t in way else s for t, s in enumerate(noise)]
                        tokens[start], tokens[start + 1 + gap] = "<", ">"
                        yield share, bag(tokens), count


@pytest.mark.parametrize(("n_copied", "n_symbols"), [(1, 2), (2, 2), (3, 3), (5, 2)])
def test_bound_of_selective_copy(n_copied, n_symbols):
    bound = SelectiveCopy(n_copied, n_symbols).bag_of_tokens_bound(7)
    assert bound == pytest.approx(best_accuracy(selective_copy_cases(n_copied, n_symbols)))


@pytest.mark.parametrize(("n_pairs", "length"), [(1, 4), (1, 6), (2, 8), (2, 9), (2, 11)])
@pytest.mark.parametrize("power", [0.01, 1.0])
def test_bound_of_associative_recall(n_pairs, length, power):
    blanks = associative_recall_cases(3, 3, n_pairs, length, power, ["_"])
    task = AssociativeRecall(n_pairs, 3, 3, power, random_filler=False)
    assert task.bag_of_tokens_bound(length) == pytest.approx(best_accuracy(blanks))


@pytest.mark.parametrize(("n_pairs", "length"), [(1, 4), (1, 6), (2, 8), (2, 9)])
def test_bound_of_associative_recall_is_not_exceeded(n_pairs, length):
    filler = ["k0", "k1", "v0", "v1", "v2"]
    best = best_accuracy(associative_recall_cases(2, 3, n_pairs, length, 0.01, filler))
    bound = AssociativeRecall(n_pairs, 2, 3).bag_of_tokens_bound(length)
    assert 1 / 3 < best <= bound + 1e-9
    assert best < bound or n_pairs == 2  # random filler hides what one pair's value is


@pytest.mark.parametrize("length", [3, 4, 5, 8])
@pytest.mark.parametrize("n_symbols", [2, 3])
def test_bound_of_induction(n_symbols, length):
    bound = Induction(n_symbols).bag_of_tokens_bound(length)
    assert bound == pytest.approx(best_accuracy(induction_cases(n_symbols, length)))


@pytest.mark.parametrize("n_digits", [1, 2, 3, 4])
def test_bound_of_passkey(n_digits):
    # The filler has no say, whatever it tells of the depth: the digits are drawn apart from it.
    bound = Passkey(n_digits=n_digits).bag_of_tokens_bound(30)
    assert bound == pytest.approx(best_accuracy(selective_copy_cases(n_digits, 10)))


@pytest.mark.parametrize(("max_offset", "lengths"), [(1, (2, 3, 6)), (2, (3, 4, 5)), (3, (4,))])
def test_bound_of_relative_lookup(max_offset, lengths):
    for length in lengths:
        bound = RelativeLookup(max_offset, 2).bag_of_tokens_bound(length)
        assert bound == pytest.approx(best_accuracy(relative_lookup_cases(max_offset, 2, length)))


@pytest.mark.parametrize("n_queries", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_bound_of_index_lookup(n_queries, length):
    bound = IndexLookup(n_queries, 2, 3).bag_of_tokens_bound(length)
    assert bound == pytest.approx(best_accuracy(index_lookup_cases(n_queries, 3, length)))


@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize("length", [1, 2, 4, 5])
def test_bound_of_sorting(distinct, length):
    bound = Sorting(5, distinct).bag_of_tokens_bound(length)
    assert bound == pytest.approx(best_accuracy(sorting_cases(5, length, distinct)))


@pytest.mark.parametrize(("max_count", "n_symbols", "length"), [(1, 1, 4), (1, 2, 6), (2, 1, 7)])
def test_bound_of_count_between(max_count, n_symbols, length):
    bound = CountBetween(max_count, n_symbols).bag_of_tokens_bound(length)
    cases = count_between_cases(max_count, n_symbols, length)
    assert bound == pytest.approx(best_accuracy(cases))


# Distributions.


@pytest.mark.parametrize("power", [0.01, 0.5, 1.0])
def test_gaps_follow_the_power_law(power):
    # 2 pairs at T = 16: slots at 4, 6, …, 14. The first pair's slot is the first one drawn.
    task = AssociativeRecall(2, 8, 8, power, random_filler=False)
    sample = generate(task, 0, "train", torch.arange(40_000), 16)
    law = [i ** (power - 1) for i in range(1, 7)]
    slot = []
    for pair in (0, 1):
        value = sample.tokens[:, 2 * pair + 1, None]
        place = (sample.targets == value).int().argmax(dim=1)
        slot.append((place - 4) // 2)
    assert_follows(slot[0], law)
    both = [
        0 if i == j else law[i] / sum(law) * law[j] / (sum(law) - law[i])
        for i, j in product(range(6), repeat=2)
    ]
    assert_follows(slot[0] * 6 + slot[1], both)


def test_places_are_uniform():
    index = torch.arange(20_000)
    assert_follows(generate(Induction(), 0, "a", index, 9).focus - 1, [1] * 7)
    assert_follows(generate(Passkey(None, 2), 0, "a", index, 11).focus, [1] * 7)
    blanks = generate(SelectiveCopy(2, 3), 0, "a", index, 5).tokens[:, :5] == 3
    places = (~blanks).nonzero()[:, 1].view(-1, 2)
    pairs = places[:, 0] * 5 + places[:, 1]
    assert_follows(pairs, [int(i < j) for i in range(5) for j in range(5)])


@pytest.mark.parametrize("task", [IndexLookup(), Induction(), Sorting(), SelectiveCopy()])
def test_answers_are_balanced(task):
    index = torch.arange(40_000)
    targets = generate(task, 0, "a", index, 20).targets
    # One answer a sequence, so that they are independent; in sorting each of the 20 in turn.
    place = 21 + index % 20 if isinstance(task, Sorting) else targets.shape[1] - 1
    assert_follows(targets[index, place], [1] * task.n_classes)


def test_markers_tell_nothing_of_the_count():
    task = CountBetween(2, 3)
    sample = generate(task, 0, "a", torch.arange(60_000), 8)
    opening = (sample.tokens == 4).int().argmax(dim=1)
    gap = (sample.tokens == 5).int().argmax(dim=1) - opening - 1
    assert_follows(gap - 2, [1] * 3)
    for count in range(3):
        rows = sample.targets == count
        assert_follows(gap[rows] - 2, [1] * 3)
        assert_follows(opening[rows & (gap == 3)], [1] * 4)
    # With four places inside, one x among them stands at each equally often.
    rows = (sample.targets == 1) & (gap == 4)
    t = torch.arange(8)
    inside = (t > opening[:, None]) & (t <= opening[:, None] + 4)
    place = ((sample.tokens == 3) & inside)[rows].int().argmax(dim=1) - opening[rows] - 1
    assert_follows(place, [1] * 4)
