"""The tasks of Kazemnejad et al. 2023: samples worked by hand, and distributions."""

from collections import Counter

import pytest
import torch

from lightning_posenc.tasks import (
    IGNORE,
    LEGO,
    Addition,
    DecoderTask,
    ParityOfBits,
    PolynomialEvaluation,
    ReplaceRepeated,
    ReverseWords,
    SortNumbers,
    SumDigits,
    generate,
)
from lightning_posenc.tasks.decoder import answer_starts, prompt_and_answer
from tests.tasks.helpers import assert_shares, rows
from tests.tasks.solvers.algorithmic import SOLVERS, encode, number, read, signed, split

each_task = pytest.mark.parametrize("task", [task for task, _ in SOLVERS.values()], ids=SOLVERS)


@each_task
def test_where_answers_start_and_end(task):
    for length in sorted({max(n, task.min_length) for n in (1, 2, 3, 10, 21)}):
        sample = generate(task, 0, "train", torch.arange(100), length)
        ends = (sample.tokens == task.end).int().argmax(1)
        if sample.lengths is None:
            assert (ends == sample.tokens.shape[1] - 1).all()
        else:
            assert torch.equal(sample.lengths, ends + 1)
        starts = task.prompt_lengths(sample).tolist()
        for start, (tokens, targets) in zip(starts, rows(sample), strict=True):
            assert targets[start - 1] == tokens[start]
            assert set(targets[: start - 1]) <= {IGNORE}


EXAMPLES = [
    # Each line by hand: the sum, the value or the sign as the comment works it out.
    ("CopyRepeated", "s7 s7 s7 =  ->  s7 s7 s7 <end>"),
    ("CopyRepeated-2x", "s7 s7 =  ->  s7 s7 s7 s7 <end>"),
    ("ReplaceRepeated", "s7 > s2 : s7 s7 s7 =  ->  s2 s2 s2 <end>"),
    ("CopyRandom", "s7 s0 s7 =  ->  s7 s0 s7 <end>"),
    ("CopyRandom-2x", "s4 s0 =  ->  s4 s0 ; s4 s0 <end>"),
    ("ReverseWords", "s7 s0 s4 =  ->  s4 s0 s7 <end>"),
    ("ReverseWords-2x", "s1 s0 s4 =  ->  s4 s0 s1 ; s4 s0 s1 <end>"),
    ("ReverseWords-copy", "s1 s0 s4 =  ->  s4 s0 s1 ; s1 s0 s4 <end>"),
    ("Addition", "7 2 1 + 8 9 =  ->  8 1 0 <end>"),
    ("Addition", "9 5 + 5 =  ->  1 0 0 <end>"),
    ("SumDigits", "9 2 4 =  ->  5 <end>"),  # 15
    ("ParityOfBits", "1 0 1 1 ?  ->  no <end>"),  # three ones
    ("SortDigits", "s7 s0 s31 s7 =  ->  s0 s7 s7 s31 <end>"),
    ("SortNumbers", "7 2 1 , 1 0 , 3 3 0 5 =  ->  1 0 , 7 2 1 , 3 3 0 5 <end>"),
    ("PolynomialEvaluation", "x = - 2 : 3 x ^ 2 + - 1 x ^ 0 ?  ->  1 <end>"),  # 12 - 1 = 11
    ("PolynomialEvaluation", "x = - 1 : 3 x ^ 3 ?  ->  7 <end>"),  # -3 = 7 modulo 10
    ("PolynomialEvaluation", "x = 0 : 2 x ^ 0 + 3 x ^ 1 ?  ->  2 <end>"),  # 0^0 = 1
    ("LEGO", "q = - 1 , b = + q , f = - b , c = - f . f ?  ->  + <end>"),  # q -, b -, f +
    ("LEGO-shuffled", "f = - b , q = - 1 , c = - f , b = + q . c ?  ->  - <end>"),
    ("SCAN", "jump left and walk twice =  ->  I_TURN_LEFT I_JUMP I_WALK I_WALK <end>"),
    ("SCAN", "walk after turn opposite left =  ->  I_TURN_LEFT I_TURN_LEFT I_WALK <end>"),
]


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_examples_worked_by_hand(name, line):
    task, solve = SOLVERS[name]
    tokens, targets = encode(task, line)
    solve(task, tokens, targets)
    assert task.show(tokens, targets) == line
    # Another first answer token is refused.
    start = next(t for t, target in enumerate(targets) if target != IGNORE) + 1
    for wrong in {0, 1, 2, 3} - {tokens[start]}:
        with pytest.raises((AssertionError, KeyError, ValueError, IndexError)):
            solve(task, [*tokens[:start], wrong, *tokens[start + 1 :]], targets)


GOLDEN = {
    # The first two samples of seed 0 at length 5, checked by hand.
    "Addition": [
        "6 8 1 0 + 4 0 1 4 5 =  ->  4 6 9 5 5 <end>",  # 6810 + 40145
        "7 2 + 1 9 8 5 5 =  ->  1 9 9 2 7 <end>",  # 72 + 19855
    ],
    "SumDigits": ["4 9 7 4 1 =  ->  5 <end>", "2 7 6 9 7 =  ->  1 <end>"],  # 25, 31
    "ParityOfBits": ["0 1 1 0 0 ?  ->  yes <end>", "0 1 1 1 1 ?  ->  yes <end>"],
    "PolynomialEvaluation": [
        # 3 * 0^0, all other terms 0
        "x = 0 : 2 x ^ 1 + 0 x ^ 0 + 3 x ^ 0 + - 2 x ^ 1 + - 3 x ^ 2 ?  ->  3 <end>",
        # -3 - 8 - 16 + 8 - 8 = -27
        "x = - 2 : - 3 x ^ 0 + 1 x ^ 3 + 2 x ^ 3 + 2 x ^ 2 + - 2 x ^ 2 ?  ->  3 <end>",
    ],
    "SortNumbers": [
        "4 2 7 1 , 9 7 6 6 , 7 3 6 1 , 4 2 9 1 , 1 1 1 8 =  ->  "
        "1 1 1 8 , 4 2 7 1 , 4 2 9 1 , 7 3 6 1 , 9 7 6 6 <end>",
        "1 7 0 5 , 7 5 8 5 , 6 4 5 2 , 9 2 0 8 , 6 8 4 8 =  ->  "
        "1 7 0 5 , 6 4 5 2 , 6 8 4 8 , 7 5 8 5 , 9 2 0 8 <end>",
    ],
    "CopyRandom": ["s42 s97 s73 s42 s11 =  ->  s42 s97 s73 s42 s11 <end>"],
    "ReverseWords": ["s42 s97 s73 s42 s11 =  ->  s11 s42 s73 s97 s42 <end>"],
    "ReplaceRepeated": ["s42 > s15 : s42 s42 s42 s42 s42 =  ->  s15 s15 s15 s15 s15 <end>"],
    "SortDigits": ["s21 s48 s36 s21 s5 =  ->  s5 s21 s21 s36 s48 <end>"],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_samples(name):
    task = SOLVERS[name][0]
    lines = [task.show(*row) for row in rows(generate(task, 0, "train", torch.arange(3), 5))]
    assert lines[: len(GOLDEN[name])] == GOLDEN[name]


@each_task
def test_every_token_may_be_said(task):
    assert isinstance(task, DecoderTask)
    assert task.vocab_size == task.n_classes == len(task.symbols) == task.end + 1


def test_prompt_and_answer():
    # By hand: a full row, and one whose prompt has 1 of 3 tokens and whose answer 2 of 2.
    prompt = torch.tensor([[1, 2, 3], [4, 9, 9], [5, 6, 9]])
    answer = torch.tensor([[5, 9], [6, 7], [9, 9]])
    lengths = torch.tensor([3, 1, 2]), torch.tensor([1, 2, 0])
    sample = prompt_and_answer(prompt, answer, 8, *lengths)
    x = IGNORE
    assert sample.tokens.tolist() == [[1, 2, 3, 5, 8, 0], [4, 6, 7, 8, 0, 0], [5, 6, 8, 0, 0, 0]]
    assert sample.targets.tolist() == [[x, x, 5, 8, x, x], [6, 7, 8, x, x, x], [x, 8, x, x, x, x]]
    assert sample.lengths.tolist() == [5, 4, 3]
    assert answer_starts(sample.targets).tolist() == [3, 1, 2]
    full = prompt_and_answer(prompt, answer, 8)
    assert full.tokens.tolist() == [[1, 2, 3, 5, 9, 8], [4, 9, 9, 6, 7, 8], [5, 6, 9, 9, 9, 8]]
    assert full.targets[0].tolist() == [x, x, 5, 9, 8, x]
    assert full.lengths is None
    for widths in ((None, lengths[1]), (lengths[0], None)):
        either = prompt_and_answer(prompt, answer, 8, *widths)
        assert either.lengths.tolist() == [
            (3 if widths[0] is None else p) + (2 if widths[1] is None else a) + 1
            for p, a in zip(*(field.tolist() for field in lengths), strict=True)
        ]


def test_other_arguments_out_of_range():
    with pytest.raises(ValueError, match="then='twice' must be one of nothing, reverse, copy"):
        ReverseWords(then="twice")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_digits=10 must be at most 9"):
        SortNumbers(10)
    with pytest.raises(ValueError, match="at most 26, or n_variables=27"):
        generate(LEGO(), 0, "train", torch.arange(2), 27)


# Distributions.


def printed(task, length, n=8000):
    for tokens, targets in rows(generate(task, 0, "train", torch.arange(n), length)):
        yield read(task, tokens, targets, "?" if "?" in task.symbols else "=")


def test_parity_is_balanced():
    counts = Counter(answer[0] for _, answer in printed(ParityOfBits(), 9))
    assert set(counts) == {"yes", "no"}
    assert_shares(counts.values())


def test_digits_of_sums_are_uniform():
    counts = Counter(word for prompt, _ in printed(SumDigits(), 9) for word in prompt)
    assert sorted(counts) == list("123456789")
    assert_shares(counts.values())


def test_pairs_of_numbers_of_digits_are_uniform():
    pairs, first, other, single = Counter(), Counter(), Counter(), Counter()
    for prompt, _ in printed(Addition(), 4):
        numbers = split(prompt, "+")
        pairs[tuple(map(len, numbers))] += 1
        for digits in numbers:
            (single if len(digits) == 1 else first)[digits[0]] += 1
            other.update(digits[1:])
    expected = {(4, k) for k in range(1, 5)} | {(k, 4) for k in range(1, 4)}
    assert pairs.keys() == expected
    assert sorted(first) == list("123456789")
    assert sorted(other) == sorted(single) == list("0123456789")
    for outcomes in (pairs, first, other, single):
        assert_shares(outcomes.values())


def test_numbers_to_sort_are_uniform():
    numbers = [
        number(part) for prompt, _ in printed(SortNumbers(2), 4) for part in split(prompt, ",")
    ]
    counts = Counter(numbers)
    assert sorted(counts) == list(range(10, 100))
    assert_shares(counts.values())


def test_replacements_are_uniform_over_ordered_pairs():
    counts = Counter((prompt[0], prompt[2]) for prompt, _ in printed(ReplaceRepeated(4), 2))
    assert len(counts) == 12
    assert_shares(counts.values())


def test_polynomials_are_uniform():
    xs, coefficients, exponents = Counter(), Counter(), Counter()
    for prompt, _ in printed(PolynomialEvaluation(), 3):
        value, terms = split(prompt[2:], ":")
        xs[signed(value)] += 1
        for term in split(terms, "+"):
            coefficients[signed(term)] += 1
            exponents[int(term[-1])] += 1
    assert sorted(xs) == [-2, -1, 0, 1, 2]
    assert sorted(coefficients) == [-3, -2, -1, 0, 1, 2, 3]
    assert sorted(exponents) == [0, 1, 2, 3]
    for outcomes in (xs, coefficients, exponents):
        assert_shares(outcomes.values())


@pytest.mark.parametrize(("length", "first"), [(2, 1), (3, 2), (4, 2), (7, 4), (8, 4)])
def test_questions_of_lego_are_uniform_over_the_second_half(length, first):
    asked, firsts, answers = Counter(), Counter(), Counter()
    for prompt, answer in printed(LEGO(10), length):
        chain, (query,) = split(prompt, ".")
        names = [clause[0] for clause in split(chain, ",")]
        assert len(set(names)) == length
        asked[names.index(query)] += 1
        firsts[names[0]] += 1
        answers[answer[0]] += 1
    assert sorted(asked) == list(range(first, length))
    assert len(firsts) == 10
    assert set(answers) == {"+", "-"}
    for outcomes in (asked, firsts, answers):
        assert_shares(outcomes.values())


def test_shuffled_clauses_stand_anywhere():
    places = Counter()
    for prompt, _ in printed(LEGO(shuffle=True), 5):
        clauses = split(split(prompt, ".")[0], ",")
        places[next(i for i, clause in enumerate(clauses) if clause[-1] == "1")] += 1
    assert_shares(places[i] for i in range(5))
