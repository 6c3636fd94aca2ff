"""Solvers of the tasks of Kazemnejad et al. 2023."""

from pathlib import Path

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
    WordOrder,
)

SCAN_FILE = Path(__file__).parents[1] / "scan_commands.txt"


def read(task, tokens, targets, separator="="):
    """The words of the prompt without its separator, and those of the answer without the end."""
    words = [task.symbols[token] for token in tokens]
    start, stop = words.index(separator) + 1, words.index("<end>")
    assert tokens[stop + 1 :] == [0] * (len(tokens) - stop - 1)
    scored = [IGNORE] * (start - 1) + tokens[start : stop + 1]
    assert targets == scored + [IGNORE] * (len(tokens) - len(scored))
    return words[: start - 1], words[start:stop]


def encode(task, line):
    """Tokens and targets of a printed line."""
    prompt, answer = (
        [task.symbols.index(word) for word in part.split()] for part in line.split("->")
    )
    targets = [IGNORE] * (len(prompt) - 1) + answer + [IGNORE]
    return prompt + answer, targets


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


def solve_word_order(task, tokens, targets):
    prompt, answer = read(task, tokens, targets)
    (at,) = [n for n, word in enumerate(prompt) if word[0] == "v"]
    *of_subject, subject = prompt[:at]
    *of_thing, thing = prompt[at + 1 :]
    assert subject[0] == thing[0] == "n"
    assert {word[0] for word in of_subject + of_thing} <= {"a"}
    phrases = [[subject, *of_subject[::-1]], [thing, *of_thing[::-1]], [prompt[at]]]
    assert answer == [word.upper() for phrase in phrases for word in phrase]


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
    "WordOrder": (WordOrder(), solve_word_order),
    "WordOrder-few": (WordOrder(2, 3, 1), solve_word_order),
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
