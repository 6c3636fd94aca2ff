"""The tasks of Kazemnejad et al. 2023 against solvers that read one printed sample at a time."""

import pickle
from collections import Counter, defaultdict
from functools import partial
from itertools import permutations, product
from pathlib import Path

import pytest
import torch

from lightning_posenc.data.synthetic import SyntheticData
from lightning_posenc.tasks import (
    IGNORE,
    LEGO,
    SCAN,
    Addition,
    CopyRandom,
    CopyRepeated,
    DecoderTask,
    ParityOfBits,
    PolynomialEvaluation,
    ReplaceRepeated,
    ReverseWords,
    SortDigits,
    SortNumbers,
    SumDigits,
    generate,
)
from lightning_posenc.tasks.decoder import answer_starts, prompt_and_answer

SCAN_FILE = Path(__file__).parent / "scan_commands.txt"


def read(task, tokens, targets, separator="="):
    """The words of the prompt without its separator, and those of the answer without the end."""
    words = [task.symbols[token] for token in tokens]
    start, stop = words.index(separator) + 1, words.index("<end>")
    assert tokens[stop + 1 :] == [0] * (len(tokens) - stop - 1)
    scored = [IGNORE] * (start - 1) + tokens[start : stop + 1]
    assert targets == scored + [IGNORE] * (len(tokens) - len(scored))
    return words[: start - 1], words[start:stop]


def number(words):
    assert len(words) == 1 or words[0] != "0", "a leading zero"
    return int("".join(words))


def split(words, at):
    parts = [[]]
    for word in words:
        if word == at:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def solve_copy_repeated(task, tokens, targets):
    prompt, answer = read(task, tokens, targets)
    assert len(set(prompt)) == 1
    assert answer == prompt * task.times


def solve_replace_repeated(task, tokens, targets):
    (old, to, new, colon, *rest), answer = read(task, tokens, targets)
    assert (to, colon, set(rest)) == (">", ":", {old})
    assert old != new
    assert answer == [new for _ in rest]


def solve_copy_random(task, tokens, targets):
    prompt, answer = read(task, tokens, targets)
    assert split(answer, ";") == [prompt] * (2 if task.twice else 1)


def solve_reverse_words(task, tokens, targets):
    prompt, answer = read(task, tokens, targets)
    backwards = [prompt[-i] for i in range(1, len(prompt) + 1)]
    more = {"nothing": [], "reverse": [backwards], "copy": [prompt]}[task.then]
    assert split(answer, ";") == [backwards, *more]


def solve_addition(task, tokens, targets):
    prompt, answer = read(task, tokens, targets)
    a, b = map(number, split(prompt, "+"))
    assert number(answer) == a + b


def solve_sum_digits(task, tokens, targets):
    prompt, answer = read(task, tokens, targets)
    assert "0" not in prompt
    assert [str(sum(map(int, prompt)))[-1]] == answer


def solve_parity(task, tokens, targets):
    prompt, answer = read(task, tokens, targets, "?")
    even = True
    for bit in prompt:
        even = even if {"0": True, "1": False}[bit] else not even
    assert answer == ["yes" if even else "no"]


def solve_sort_digits(task, tokens, targets):
    prompt, answer = read(task, tokens, targets)
    assert answer == sorted(prompt, key=lambda word: int(word[1:]))


def solve_sort_numbers(task, tokens, targets):
    prompt, answer = read(task, tokens, targets)
    asked, said = ([number(part) for part in split(words, ",")] for words in (prompt, answer))
    assert all(10 <= value < 10**task.max_digits for value in asked)
    assert said == sorted(asked)


def signed(words):
    return -int(words[1]) if words[0] == "-" else int(words[0])


def solve_polynomial(task, tokens, targets):
    (name, equals, *rest), answer = read(task, tokens, targets, "?")
    assert (name, equals) == ("x", "=")
    value, terms = split(rest, ":")
    x, total = signed(value), 0
    for term in split(terms, "+"):
        coefficient, power = split(term, "x")
        assert power[0] == "^"
        product_ = signed(coefficient)
        for _ in range(int(power[1])):
            product_ *= x
        total += product_
    assert answer == [str((total + 10_000_000) % 10)]


def solve_lego(task, tokens, targets):
    prompt, answer = read(task, tokens, targets, "?")
    chain, (asked,) = split(prompt, ".")
    equal_to = {}
    for name, equals, sign, other in split(chain, ","):
        assert equals == "="
        assert name not in equal_to
        equal_to[name] = sign, other
    if not task.shuffle:
        before = ["1", *equal_to]
        assert [other for _, other in equal_to.values()] == before[:-1]
    minuses, name, seen = 0, asked, 0
    while name != "1":
        sign, name = equal_to[name]
        minuses += {"+": 0, "-": 1}[sign]
        seen += 1
    assert 2 * (seen - 1) >= len(equal_to) - len(equal_to) % 2
    assert answer == [{0: "+", 1: "-"}[minuses % 2]]


def act(words):
    """The actions of a command of SCAN, by recursion on its last word or its conjunction."""
    for conjunction in ("and", "after"):
        if conjunction in words:
            first, second = map(act, split(words, conjunction))
            return first + second if conjunction == "and" else second + first
    *rest, last = words
    if last in ("twice", "thrice"):
        return act(rest) * (2 if last == "twice" else 3)
    if last in ("left", "right"):
        turn, verb = [f"I_TURN_{last.upper()}"], act([rest[0]])
        manner = rest[1] if len(rest) == 2 else None
        return {None: turn + verb, "opposite": 2 * turn + verb, "around": 4 * (turn + verb)}[manner]
    assert rest == []
    return [] if last == "turn" else [f"I_{last.upper()}"]


def solve_scan(task, tokens, targets):
    prompt, answer = read(task, tokens, targets)
    assert answer == act(prompt)


SOLVERS = {
    "CopyRepeated": (CopyRepeated(), solve_copy_repeated),
    "CopyRepeated-2x": (CopyRepeated(20, times=2), solve_copy_repeated),
    "ReplaceRepeated": (ReplaceRepeated(), solve_replace_repeated),
    "CopyRandom": (CopyRandom(), solve_copy_random),
    "CopyRandom-2x": (CopyRandom(5, twice=True), solve_copy_random),
    "ReverseWords": (ReverseWords(), solve_reverse_words),
    "ReverseWords-2x": (ReverseWords(5, then="reverse"), solve_reverse_words),
    "ReverseWords-copy": (ReverseWords(5, then="copy"), solve_reverse_words),
    "Addition": (Addition(), solve_addition),
    "SumDigits": (SumDigits(), solve_sum_digits),
    "ParityOfBits": (ParityOfBits(), solve_parity),
    "SortDigits": (SortDigits(), solve_sort_digits),
    "SortNumbers": (SortNumbers(), solve_sort_numbers),
    "SortNumbers-9": (SortNumbers(9), solve_sort_numbers),
    "PolynomialEvaluation": (PolynomialEvaluation(), solve_polynomial),
    "LEGO": (LEGO(), solve_lego),
    "LEGO-shuffled": (LEGO(60, shuffle=True), solve_lego),
    "SCAN": (SCAN(str(SCAN_FILE), longest_train=4), solve_scan),
}
each_task = pytest.mark.parametrize(
    ("task", "solve"), [pytest.param(*pair, id=name) for name, pair in SOLVERS.items()]
)


def rows(sample):
    return zip(sample.tokens.tolist(), sample.targets.tolist(), strict=True)


@each_task
@pytest.mark.parametrize("length", [1, 2, 3, 10, 21])
def test_answers_are_those_of_the_solver(task, solve, length):
    length = max(length, task.min_length)
    sample = generate(task, 0, "train", torch.arange(1000), length)
    assert sample.tokens.shape == sample.targets.shape == (1000, task.width(length))
    assert sample.tokens.dtype == sample.targets.dtype == torch.int64
    for tokens, targets in rows(sample):
        solve(task, tokens, targets)
    starts = task.prompt_lengths(sample).tolist()
    ends = (sample.tokens == task.end).int().argmax(1)
    if sample.lengths is None:
        assert (ends == sample.tokens.shape[1] - 1).all()
    else:
        assert torch.equal(sample.lengths, ends + 1)
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


def encode(task, line):
    """Tokens and targets of a printed line."""
    prompt, answer = (
        [task.symbols.index(word) for word in part.split()] for part in line.split("->")
    )
    targets = [IGNORE] * (len(prompt) - 1) + answer + [IGNORE]
    return prompt + answer, targets


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
def test_a_sample_depends_on_its_own_number_alone(task, solve):
    index = torch.tensor([3, 14, 15, 2**33, 9])
    whole = generate(task, 7, "val", index, 4)
    for i, number_ in enumerate(index):
        alone = generate(task, 7, "val", number_[None], 4)
        for field, single in zip(whole, alone, strict=True):
            assert (field is None) == (single is None)
            if field is not None:
                assert torch.equal(field[i], single[0])
    copy = pickle.loads(pickle.dumps(task))
    assert torch.equal(generate(copy, 7, "val", index, 4).tokens, whole.tokens)
    assert not torch.equal(generate(task, 8, "val", index, 4).tokens, whole.tokens)
    assert not torch.equal(generate(task, 7, "test", index, 4).tokens, whole.tokens)


@each_task
def test_several_lengths_in_one_batch(task, solve):
    low, high = task.min_length, 4 if isinstance(task, SCAN) else 11
    data = SyntheticData(task, train_length=[low, high], batch_size=64)
    batch = next(iter(data.train_dataloader()))
    assert batch.tokens.shape == (64, task.width(high))
    for tokens, targets in rows(batch):
        solve(task, tokens, targets)
    starts = answer_starts(batch.targets)
    assert len(starts.unique()) > 1


@each_task
def test_every_token_is_in_the_vocabulary(task, solve):
    assert isinstance(task, DecoderTask)
    assert task.vocab_size == task.n_classes == len(task.symbols) == task.end + 1
    samples = [generate(task, 0, "train", torch.arange(3000), length) for length in (4, 10)]
    used = torch.cat([sample.tokens.flatten() for sample in samples]).unique().tolist()
    assert used == list(range(task.vocab_size))


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


@each_task
def test_too_short(task, solve):
    with pytest.raises(ValueError, match=rf"at least {task.min_length}$"):
        generate(task, 0, "train", torch.arange(2), task.min_length - 1)
    with pytest.raises(ValueError, match=rf"at least {task.min_length}$"):
        task.bag_of_tokens_bound(task.min_length - 1)


@pytest.mark.parametrize(
    "make",
    [
        partial(CopyRepeated, n_symbols=1),
        partial(CopyRepeated, times=0),
        partial(ReplaceRepeated, n_symbols=1),
        partial(CopyRandom, n_symbols=1),
        partial(ReverseWords, n_symbols=1),
        partial(SortDigits, n_symbols=1),
        partial(SortNumbers, max_digits=1),
        partial(LEGO, n_variables=1),
        partial(SCAN, longest_train=0),
    ],
)
def test_arguments_too_small(make):
    with pytest.raises(ValueError, match=r"^\w+: \w+ must be at least [12], not [01]$"):
        make()


def test_other_arguments_out_of_range():
    with pytest.raises(ValueError, match="nothing, reverse or copy, not twice"):
        ReverseWords(then="twice")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at most 9, not 10"):
        SortNumbers(10)
    with pytest.raises(ValueError, match="at most 26, or n_variables=27"):
        generate(LEGO(), 0, "train", torch.arange(2), 27)


# Distributions.


def close(counts, shares=None):
    """Whether counts agree with shares, uniform unless told, to five standard errors."""
    counts = torch.as_tensor(counts, dtype=torch.float64)
    shares = torch.ones_like(counts) / len(counts) if shares is None else shares
    n = counts.sum()
    return bool(((counts / n - shares).abs() <= 5 * (shares * (1 - shares) / n).sqrt()).all())


def printed(task, length, n=20_000):
    for tokens, targets in rows(generate(task, 0, "train", torch.arange(n), length)):
        yield read(task, tokens, targets, "?" if "?" in task.symbols else "=")


def test_parity_is_balanced():
    counts = Counter(answer[0] for _, answer in printed(ParityOfBits(), 9))
    assert close(list(counts.values()))


def test_digits_of_sums_are_uniform():
    counts = Counter(word for prompt, _ in printed(SumDigits(), 9) for word in prompt)
    assert sorted(counts) == list("123456789")
    assert close(list(counts.values()))


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
    assert all(close(list(c.values())) for c in (pairs, first, other, single))


def test_numbers_to_sort_are_uniform():
    numbers = [
        number(part) for prompt, _ in printed(SortNumbers(2), 4) for part in split(prompt, ",")
    ]
    counts = Counter(numbers)
    assert sorted(counts) == list(range(10, 100))
    assert close(list(counts.values()))


def test_replacements_are_uniform_over_ordered_pairs():
    counts = Counter((prompt[0], prompt[2]) for prompt, _ in printed(ReplaceRepeated(4), 2))
    assert len(counts) == 12
    assert close(list(counts.values()))


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
    assert all(close(list(c.values())) for c in (xs, coefficients, exponents))


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
    assert all(close(list(c.values())) for c in (asked, firsts, answers))


def test_shuffled_clauses_stand_anywhere():
    places = Counter()
    for prompt, _ in printed(LEGO(shuffle=True), 5):
        clauses = split(split(prompt, ".")[0], ",")
        places[next(i for i, clause in enumerate(clauses) if clause[-1] == "1")] += 1
    assert close([places[i] for i in range(5)])


# SCAN's files.


def test_scan_holds_what_its_length_says():
    task = SCAN(str(SCAN_FILE), longest_train=4)
    lines = [line.split("OUT:")[1].split() for line in SCAN_FILE.read_text().splitlines()]
    for length, low in ((2, 1), (4, 1), (8, 5), (10, 5)):
        shares = Counter(len(answer) for _, answer in printed(task, length, 5000))
        expected = Counter(len(line) for line in lines if low <= len(line) <= length)
        assert shares.keys() == expected.keys()
        total = torch.tensor([expected[n] for n in sorted(expected)], dtype=torch.float64)
        assert close([shares[n] for n in sorted(shares)], total / total.sum())
    with pytest.raises(ValueError, match=r"no command in path=.* has 5 to 7 actions"):
        task.check_length(7)


def test_scan_reads_folders_and_says_what_is_missing(tmp_path):
    missing = r"^SCAN: path=.* is no file of SCAN"
    for path in (None, str(tmp_path / "none.txt"), str(tmp_path)):
        with pytest.raises(FileNotFoundError, match=missing):
            SCAN(path).check_length(5)
    lines = SCAN_FILE.read_text().splitlines(keepends=True)
    (tmp_path / "a.txt").write_text("".join(lines[:5]))
    (tmp_path / "b.txt").write_text("".join(lines[5:]) + "\n")
    whole, parts = SCAN(str(SCAN_FILE)), SCAN(str(tmp_path))
    for one, other in zip(whole.commands, parts.commands, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "line", ["IN: walk OUT:", "OUT: I_WALK", "walk", "IN: hop OUT: I_WALK", "IN: walk OUT: WALK"]
)
def test_scan_refuses_other_files(tmp_path, line):
    (tmp_path / "a.txt").write_text(line)
    with pytest.raises(ValueError, match=r"^SCAN: path=.* has the line '.*': give a file of SCAN"):
        SCAN(str(tmp_path / "a.txt")).check_length(5)
    (tmp_path / "a.txt").write_text("\n")
    with pytest.raises(ValueError, match="is empty: give a file of SCAN"):
        SCAN(str(tmp_path / "a.txt")).check_length(5)


# Bounds against an enumeration of all samples.


def best_accuracy(task, cases):
    """Share of scored tokens that a predictor gets that sees the bag so far and its own token.

    Args:
        cases: (weight, printed line).
    """
    answers, total = defaultdict(Counter), 0.0
    for weight, line in cases:
        tokens, targets = encode(task, line)
        for t, target in enumerate(targets):
            if target != IGNORE:
                answers[tuple(sorted(tokens[: t + 1])), tokens[t]][target] += weight
                total += weight
    return sum(max(counts.values()) for counts in answers.values()) / total


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


@pytest.mark.parametrize("length", [2, 3, 4, 5, 6])
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
    for task in (CopyRandom(), ReverseWords(), Addition(), SortNumbers(), LEGO(500)):
        bounds = [task.bag_of_tokens_bound(length) for length in (4, 20, 40, 500)]
        # Numbers to sort collide more often the more there are.
        assert isinstance(task, SortNumbers) or bounds == sorted(bounds, reverse=True)
        assert bounds[1] < 1
        assert bounds[-1] < 0.9
