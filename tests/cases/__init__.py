"""Every encoding, its properties and its oracle: one line each, and the whole suite runs on it."""

from tests.cases import absolute, bias, compose, content, positions, rotary
from tests.cases.base import Case

CASES = (
    *compose.CASES,
    *absolute.CASES,
    *bias.CASES,
    *rotary.CASES,
    *content.CASES,
    *positions.CASES,
)

__all__ = ["CASES", "Case"]
