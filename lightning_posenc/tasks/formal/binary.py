"""Binary numbers of any length as rows of digits."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_posenc.draws import Draws

_EXACT = 31  # digits that fit one draw


def draw_positive(draws: Draws, n_digits: Tensor, width: int) -> Tensor:
    """Uniform numbers in 1..2^n - 1, lowest digit first, (B, width), zeros from place n on.

    Of more than 31 digits the lowest 31 are never all zero: off from uniform by 2^-31.

    Args:
        draws: source of all randomness.
        n_digits: (B,) or (), n for each number, 1..width.
        width: columns of the result.
    """
    low = draws.integers(1, 2 ** n_digits.clamp(max=_EXACT))
    digits = draws.integers(0, 2, width)
    place = torch.arange(width)
    digits[:, :_EXACT] = (low[:, None] >> place[:_EXACT]) & 1
    return digits.masked_fill(place >= n_digits[..., None], 0)


def draw_operands(draws: Draws, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two positive numbers that have, with the operator between them, `length` digits.

    Args:
        draws: source of all randomness.
        length: n, at least 3; the first number has 1..n-2 digits, uniformly.

    Returns:
        (B, n) the question, the operator being 2; (B, n - 1) each number, lowest digit first.
    """
    n_first = draws.integers(1, length - 1)
    first = draw_positive(draws, n_first, length - 1)
    second = draw_positive(draws, length - 1 - n_first, length - 1)
    after = torch.arange(length) - n_first[:, None]  # place behind the operator
    behind = second.gather(1, (after - 1).clamp(min=0)).masked_fill(after == 0, 2)
    question = torch.where(after < 0, pad(first, (0, 1)), behind)
    return question, first, second


def n_significant(digits: Tensor) -> Tensor:
    """(B,) digits of each number without leading zeros, at least 1; lowest digit first."""
    places = torch.arange(1, digits.shape[1] + 1)
    return (digits * places).amax(1).clamp(min=1)
