"""All questions that a formal-language task can make at a small length, and how likely each is."""

from collections import defaultdict
from fractions import Fraction
from itertools import product

from lightning_posenc.tasks import formal
from tests.tasks.solvers.formal import (
    binary_addition,
    binary_multiplication,
    bucket_sort,
    compute_sqrt,
    cycle_navigation,
    duplicate_string,
    even_pairs,
    missing_duplicate,
    modular_arithmetic,
    modular_arithmetic_brackets,
    odds_first,
    parity_check,
    parse,
    reverse_string,
    solve_equation,
    stack_manipulation,
)


def expressions(n, modulus, operators):
    """Probability of each nested expression of n characters."""
    digits = [str(d) for d in range(modulus)]
    if n <= 4:
        form = {1: "{}", 2: "-{}", 3: "({})", 4: "(-{})"}[n]
        return {form.format(d): Fraction(1, modulus) for d in digits}
    share: dict[str, Fraction] = defaultdict(Fraction)
    for left in range(1, n - 3):
        sides = product(
            expressions(left, modulus, operators).items(),
            operators,
            expressions(n - 3 - left, modulus, operators).items(),
        )
        for (a, p), operator, (b, q) in sides:
            share[f"({a}{operator}{b})"] += p * q / len(operators) / (n - 4)
    return share


def nested_questions(length, task):
    operators = "+-*" if task.multiply else "+-"
    for text, p in expressions(length, task.modulus, operators).items():
        yield float(p), list(text)


def equations(length, task):
    for text, p in expressions(length - 2, task.modulus, "+-").items():
        value = parse(list(text), task.modulus)
        for start in range(length - 2):
            place = start
            while not text[place].isdigit():
                place = (place + 1) % (length - 2)
            question = f"{text[:place]}x{text[place + 1 :]}={value}"
            yield float(p) / (length - 2), list(question)


def plain_questions(length, task):
    parts = [task.symbols[: task.modulus] if i % 2 == 0 else "+-*" for i in range(length)]
    for question in product(*parts):
        yield 1, list(question)


def strings(length, task):
    for question in product(task.symbols[:-1], repeat=length):
        yield 1, list(question)


def bits(length, task):
    for question in product("01", repeat=length):
        yield 1, list(question)


def positive_bits(length, task):
    yield from ((p, q) for p, q in bits(length, task) if "1" in q)


def sums(length, task):
    for n in range(1, length - 1):
        p = 1 / ((2**n - 1) * (2 ** (length - 1 - n) - 1))
        for _, a in positive_bits(n, task):
            for _, b in positive_bits(length - 1 - n, task):
                yield p, [*a, task.symbols[2], *b]


def stacks(length, task):
    for height in range(1, length):
        sides = product(product("01", repeat=height), product([2, 3, 4], repeat=length - height))
        for stack, actions in sides:
            p = 2.0**-height * 3.0 ** (height - length)
            yield p, [*stack, *(task.symbols[a] for a in actions)]


def masked(length, task):
    half = length // 2
    for word in product("01", repeat=half):
        for place in range(2 * half):
            question = [*word, *word]
            question[place] = "?"
            yield 1, [*question, *["."] * (length % 2)]


SPACES = {  # task, all its questions with unnormalised probabilities, solver
    "EvenPairs": (formal.EvenPairs(), bits, even_pairs),
    "ParityCheck": (formal.ParityCheck(), bits, parity_check),
    "CycleNavigation": (formal.CycleNavigation(3), strings, cycle_navigation),
    "ModularArithmetic": (formal.ModularArithmetic(3), plain_questions, modular_arithmetic),
    "ModularArithmeticBrackets": (
        formal.ModularArithmeticBrackets(3),
        nested_questions,
        modular_arithmetic_brackets,
    ),
    "ModularArithmeticBrackets-add": (
        formal.ModularArithmeticBrackets(3, multiply=False),
        nested_questions,
        modular_arithmetic_brackets,
    ),
    "SolveEquation": (formal.SolveEquation(3), equations, solve_equation),
    "StackManipulation": (formal.StackManipulation(), stacks, stack_manipulation),
    "ReverseString": (formal.ReverseString(), bits, reverse_string),
    "DuplicateString": (formal.DuplicateString(3), strings, duplicate_string),
    "MissingDuplicate": (formal.MissingDuplicate(), masked, missing_duplicate),
    "OddsFirst": (formal.OddsFirst(), bits, odds_first),
    "BucketSort": (formal.BucketSort(3), strings, bucket_sort),
    "BinaryAddition": (formal.BinaryAddition(), sums, binary_addition),
    "BinaryMultiplication": (formal.BinaryMultiplication(), sums, binary_multiplication),
    "ComputeSqrt": (formal.ComputeSqrt(), positive_bits, compute_sqrt),
}
