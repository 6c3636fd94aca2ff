"""Random nested expressions of an exact length."""

import torch
from torch import Tensor

from lightning_posenc.draws import Draws


def draw_expressions(
    draws: Draws, length: int, modulus: int, multiply: bool
) -> tuple[Tensor, Tensor]:
    """Expressions and their values modulo m.

    With d a uniform digit, an expression of n tokens is, for n = 1, 2, 3, 4: d, -d, (d), (-d);
    for n >= 5 it is (LoR): the length of L is uniform in 1..n-4, R has the n - 3 - |L| that are
    left, and the operator o is uniform. Tokens: 0..m-1 the digits, then + - [*] ( ).

    Every expression inside the whole has its own first token. So all of a batch's expressions of
    one depth are cut at once, each named by the place where it starts. Every place has one random
    number, which decides the cut at a (, the digit, or the operator that stands there.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098,
    whose code draws the same by recursion.

    Args:
        draws: source of all randomness.
        length: n, at least 1.
        modulus: m.
        multiply: whether * is drawn as well as + and -.

    Returns:
        (B, n) tokens and (B,) values, int64.
    """
    n_operators = 3 if multiply else 2
    minus, opening, closing = modulus + 1, modulus + n_operators, modulus + n_operators + 1
    fractions = draws.integers(0, 2**31, length).flatten()  # of 2^31, one for each place

    def choice(places: Tensor, n: int | Tensor) -> Tensor:
        """The uniform integers in 0..n-1 that belong to these places."""
        return fractions[places] * n >> 31

    roots = torch.arange(0, len(fractions), length)
    start, size = roots, torch.full_like(roots, length)
    pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # starts of (LoR) and of R; the size of (LoR)
    leaves: list[tuple[Tensor, Tensor]] = []
    while len(start):
        nested = size > 4
        leaves.append((start[~nested], size[~nested]))
        start, size = start[nested], size[nested]
        left = 1 + choice(start, size - 4)
        right = start + left + 2
        pairs.append((start, right, size))
        start, size = torch.cat([start + 1, right]), torch.cat([left, size - 3 - left])

    tokens, values = torch.empty_like(fractions), torch.empty_like(fractions)
    start, size = (torch.cat(part) for part in zip(*leaves, strict=True))
    negative, bracketed = size % 2 == 0, size > 2
    place = start + size // 2
    digit = choice(place, modulus)
    tokens[start[bracketed]] = opening
    tokens[(start + size - 1)[bracketed]] = closing
    tokens[(place - 1)[negative]] = minus
    tokens[place] = digit
    values[start] = torch.where(negative, -digit, digit) % modulus

    start, right, size = (torch.cat(part) for part in zip(*pairs, strict=True))
    operator = choice(right - 1, n_operators)
    tokens[start] = opening
    tokens[right - 1] = operator + modulus
    tokens[start + size - 1] = closing
    counts = [len(level) for level, _, _ in pairs]
    sign, product = 1 - 2 * (operator == 1).long(), operator == 2
    levels = zip(*(x.split(counts) for x in (start, right, sign, product)), strict=True)
    for start, right, sign, product in reversed(list(levels)):
        a, b = values[start + 1], values[right]
        total = a + sign * b
        values[start] = (torch.where(product, a * b, total) if multiply else total) % modulus
    return tokens.view(-1, length), values[roots]
