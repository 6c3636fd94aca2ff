"""Solvers of the formal-language tasks: printed question in, printed answer out."""

import math
import re
from collections.abc import Callable

from lightning_posenc.tasks import IGNORE, Task, formal


def even_pairs(task, q):
    text = "".join(q)
    changes = sum(text[i : i + 2] in ("01", "10") for i in range(len(text) - 1))
    return ["odd" if changes & 1 else "even"]


def parity_check(task, q):
    answer = "even"
    for bit in q:
        if bit == "1":
            answer = "odd" if answer == "even" else "even"
    return [answer]


def cycle_navigation(task, q):
    place = 0
    for step in q:
        place += int(step)
        place = 0 if place == task.n_classes else task.n_classes - 1 if place < 0 else place
    return [str(place)]


def modular_arithmetic(task, q):
    assert len(q) % 2 == 1
    assert all(symbol.isdigit() == (i % 2 == 0) for i, symbol in enumerate(q))
    return [str(eval(" ".join(q)) % task.modulus)]


def parse(q, modulus):
    """Value of a nested expression, by recursive descent; what it consumes is removed from q."""
    symbol = q.pop(0)
    if symbol == "-":
        return -int(q.pop(0)) % modulus
    if symbol != "(":
        return int(symbol) % modulus
    value = parse(q, modulus)
    operator = q.pop(0)
    if operator != ")":
        other = parse(q, modulus)
        value = {"+": value + other, "-": value - other, "*": value * other}[operator]
        assert q.pop(0) == ")"
    return value % modulus


def modular_arithmetic_brackets(task, q):
    rest = list(q)
    value = parse(rest, task.modulus)
    assert rest == []
    assert value == eval(" ".join(q)) % task.modulus
    return [str(value)]


def solve_equation(task, q):
    if len(q) < 3:
        assert set(q) == {"0"}
        return ["0"]
    assert q[-2] == "="
    assert q.count("x") == 1
    fitting = []
    for x in range(task.modulus):
        rest = [str(x) if symbol == "x" else symbol for symbol in q[:-2]]
        if parse(rest, task.modulus) == int(q[-1]):
            fitting.append(str(x))
        assert rest == []
    assert len(fitting) == 1
    return fitting


def stack_manipulation(task, q):
    assert re.fullmatch(r"( [01])+( (pop|push0|push1))*", " " + " ".join(q))
    assert len(q) == 1 or q[-1] not in "01"
    stack = []
    for symbol in q:
        if symbol != "pop":
            stack.append(symbol[-1])
        elif stack:
            stack.pop()
    return [*reversed(stack), "end"]


def reverse_string(task, q):
    return [q[-1 - i] for i in range(len(q))]


def duplicate_string(task, q):
    return q + q


def missing_duplicate(task, q):
    if len(q) == 1:
        assert q == ["1"]
        return ["1"]
    if len(q) % 2:
        assert q.pop() == "."
    half = len(q) // 2
    place = q.index("?")
    answer = q[(place + half) % len(q)]
    q[place] = answer
    assert q[:half] == q[half:]
    assert set(q) <= {"0", "1"}
    return [answer]


def odds_first(task, q):
    return [s for i, s in enumerate(q) if i % 2] + [s for i, s in enumerate(q) if not i % 2]


def bucket_sort(task, q):
    return [s for symbol in task.answers for s in q if s == symbol]


def number(little_endian):
    return int("".join(reversed(little_endian)), 2)


def operands(q, operator):
    place = q.index(operator)
    numbers = number(q[:place]), number(q[place + 1 :])
    assert min(numbers) > 0
    return numbers


def written(value):
    return [*reversed(f"{value:b}"), "end"]


def binary_addition(task, q):
    if len(q) <= 2:
        assert number(q) < 2 ** len(q) - 1
        return written(number(q))
    return written(sum(operands(q, "+")))


def binary_multiplication(task, q):
    if len(q) <= 2:
        assert number(q) < 2 ** len(q) - 1
        return [*["0"] * (len(q) - 1), "end"]
    return written(math.prod(operands(q, "*")))


def compute_sqrt(task, q):
    value = int("".join(q), 2)
    assert value > 0
    return list(f"{math.isqrt(value):b}".zfill(-(-len(q) // 2)))


def solver(
    solve: Callable[[Task, list[str]], list[str]],
) -> Callable[[Task, list[int], list[int]], None]:
    def check(task, tokens, targets):
        blank = task.vocab_size - 1
        n = tokens.index(blank)
        assert set(tokens[n:]) == {blank}
        assert targets[:n] == [IGNORE] * n
        answer = [task.answers[t] for t in targets[n:] if t != IGNORE]
        # The answer stands at the first blanks, and nothing is scored after it.
        assert all(t == IGNORE for t in targets[n + len(answer) :])
        assert answer == solve(task, [task.symbols[t] for t in tokens[:n]])

    return check


SOLVERS: dict[str, tuple[Task, Callable]] = {
    name: (task, solver(solve))
    for name, task, solve in [
        ("EvenPairs", formal.EvenPairs(), even_pairs),
        ("ParityCheck", formal.ParityCheck(), parity_check),
        ("CycleNavigation", formal.CycleNavigation(), cycle_navigation),
        ("CycleNavigation-3", formal.CycleNavigation(3), cycle_navigation),
        ("ModularArithmetic", formal.ModularArithmetic(), modular_arithmetic),
        ("ModularArithmetic-7", formal.ModularArithmetic(7), modular_arithmetic),
        (
            "ModularArithmeticBrackets",
            formal.ModularArithmeticBrackets(),
            modular_arithmetic_brackets,
        ),
        (
            "ModularArithmeticBrackets-add",
            formal.ModularArithmeticBrackets(3, multiply=False),
            modular_arithmetic_brackets,
        ),
        ("SolveEquation", formal.SolveEquation(), solve_equation),
        ("SolveEquation-4", formal.SolveEquation(4), solve_equation),
        ("StackManipulation", formal.StackManipulation(), stack_manipulation),
        ("ReverseString", formal.ReverseString(), reverse_string),
        ("ReverseString-7", formal.ReverseString(7), reverse_string),
        ("DuplicateString", formal.DuplicateString(), duplicate_string),
        ("MissingDuplicate", formal.MissingDuplicate(), missing_duplicate),
        ("OddsFirst", formal.OddsFirst(), odds_first),
        ("BucketSort", formal.BucketSort(), bucket_sort),
        ("BinaryAddition", formal.BinaryAddition(), binary_addition),
        ("BinaryMultiplication", formal.BinaryMultiplication(), binary_multiplication),
        ("ComputeSqrt", formal.ComputeSqrt(), compute_sqrt),
    ]
}
