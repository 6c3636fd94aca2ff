"""Solvers of the tasks that find something."""

from lightning_posenc.tasks import IGNORE
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


def printed(task, tokens, targets):
    """Tokens and answers as words, None where nothing is asked."""
    words = [task.symbols[token] for token in tokens]
    return words, [None if target == IGNORE else task.symbols[target] for target in targets]


def solve_selective_copy(task, tokens, targets):
    words, said = printed(task, tokens, targets)
    start = len(words) - task.n_copied
    assert words[start:] == ["?"] * task.n_copied
    symbols = [word for word in words[:start] if word != "_"]
    assert len(symbols) == task.n_copied
    assert "?" not in symbols
    assert said == [None] * start + symbols


def solve_associative_recall(task, tokens, targets):
    words, said = printed(task, tokens, targets)
    context = words[: 2 * task.n_pairs]
    value = dict(zip(context[::2], context[1::2], strict=True))
    assert len(value) == len(set(value.values())) == task.n_pairs
    assert all(key[0] == "k" and value[key][0] == "v" for key in value)
    assert said[: len(context)] == [None] * len(context)
    asked = [t for t, answer in enumerate(said) if answer is not None]
    # Each key is asked for once, at an even place after the pairs.
    assert sorted(words[t] for t in asked) == sorted(value)
    assert all(t % 2 == 0 and said[t] == value[words[t]] for t in asked)
    if not task.random_filler:
        rest = [word for t, word in enumerate(words) if t >= len(context) and t not in asked]
        assert set(rest) <= {"_"}


def solve_induction(task, tokens, targets):
    words, said = printed(task, tokens, targets)
    assert words.count("!") == 2
    assert words[-1] == "!"
    assert said == [None] * (len(words) - 1) + [words[words.index("!") + 1]]


def solve_passkey(task, tokens, targets):
    words, said = printed(task, tokens, targets)
    n = task.n_digits
    key = words.index("KEY")
    digits = words[key + 1 : key + 1 + n]
    assert all(digit in "0123456789" for digit in digits)
    filler = [words[:key], words[key + 1 + n : -n]]
    for part in filler:
        assert part == [f"w{i % task.n_filler}" for i in range(len(part))]
    assert words[-n:] == ["?"] * n
    assert said == [None] * (len(words) - n) + digits
    if task.depth is not None:
        assert abs(key - task.depth * sum(map(len, filler))) <= 0.5


def solve_relative_lookup(task, tokens, targets):
    words = [task.symbols[token].split(",") for token in tokens]
    for t, (_, back) in enumerate(words):
        assert 1 <= int(back) <= task.max_offset
        inside = int(back) <= t
        assert targets[t] == (int(words[t - int(back)][0]) if inside else IGNORE)


def solve_index_lookup(task, tokens, targets):
    words, said = printed(task, tokens, targets)
    word, *questions = " ".join(words).split(" ? ")
    symbols = word.split()
    expected = [None] * len(symbols)
    assert len(questions) == task.n_queries
    for question in questions:
        digits = question.split()
        assert len(digits) == task.n_digits
        expected += [None] * task.n_digits + [symbols[int("".join(digits))]]
    assert said == expected


def solve_sorting(task, tokens, targets):
    words, said = printed(task, tokens, targets)
    separator = words.index("|")
    numbers = list(map(int, words[:separator]))
    assert words[separator + 1 :] == ["_"] * separator
    if task.distinct:
        assert len(set(numbers)) == len(numbers)
    assert said == [None] * (separator + 1) + [str(number) for number in sorted(numbers)]


def solve_count_between(task, tokens, target):
    words = [task.symbols[token] for token in tokens]
    assert words.count("<") == words.count(">") == 1
    assert words.count("x") == task.max_count
    inside = words[words.index("<") + 1 : words.index(">")]
    outside = words[: words.index("<")] + words[words.index(">") + 1 :]
    assert inside.count("x") == target
    assert min(len(inside), len(outside)) >= task.max_count


SOLVERS = {
    "SelectiveCopy": (SelectiveCopy(), solve_selective_copy),
    "SelectiveCopy-3": (SelectiveCopy(3, 4), solve_selective_copy),
    "AssociativeRecall": (AssociativeRecall(), solve_associative_recall),
    "AssociativeRecall-blanks": (
        AssociativeRecall(3, 5, 4, power=1.0, random_filler=False),
        solve_associative_recall,
    ),
    "Induction": (Induction(), solve_induction),
    "Passkey": (Passkey(), solve_passkey),
    "Passkey-start": (Passkey(0.0, 2, 3), solve_passkey),
    "Passkey-third": (Passkey(1 / 3, 3, 7), solve_passkey),
    "Passkey-end": (Passkey(1.0, 1, 1), solve_passkey),
    "RelativeLookup": (RelativeLookup(), solve_relative_lookup),
    "RelativeLookup-3": (RelativeLookup(3, 2), solve_relative_lookup),
    "IndexLookup": (IndexLookup(), solve_index_lookup),
    "IndexLookup-many": (IndexLookup(4, 2, 5), solve_index_lookup),
    "Sorting": (Sorting(), solve_sorting),
    "Sorting-distinct": (Sorting(40, distinct=True), solve_sorting),
    "CountBetween": (CountBetween(), solve_count_between),
    "CountBetween-2": (CountBetween(2, 1), solve_count_between),
}
