"""Each check lets the allowed through and refuses the rest in one line (kind 7 of faults.md)."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lightning_posenc.checks import LARGEST, MOST, number, one_of, several, whole, wrong

NO_NUMBER = ["3", None, [], {}, True, math.nan, math.inf, -math.inf, 1j, 10**400, -(10**400)]


@pytest.mark.parametrize("value", [*NO_NUMBER, 4.0, 2, MOST + 1, 10**18, 1e30])
def test_whole_refuses(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^Owner: n=.* must be ") as caught:
        whole("Owner", "n", value, 3)
    assert "\n" not in str(caught.value)


def test_whole_gives_an_int_back() -> None:
    assert [whole("Owner", "n", value, 3) for value in (3, MOST, np.int64(7))] == [3, MOST, 7]
    assert type(whole("Owner", "n", np.int64(7), 3)) is int
    assert whole("Owner", "n", 10**9, most=10**9) == 10**9


@pytest.mark.parametrize("value", [*NO_NUMBER, -1e-9, LARGEST * 1.01, 1e30])
def test_number_refuses(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^Owner: n=.* must be a number in \[0, 1e\+06\]$"):
        number("Owner", "n", value, 0)


def test_ends_are_closed_or_open() -> None:
    assert [number("", "n", value, 0, 1) for value in (0, 1, 0.5)] == [0, 1, 0.5]
    assert number("", "n", Fraction(1, 2), above=0, below=1) == 0.5
    for value in (0, 1):
        with pytest.raises(ValueError, match=r"in \(0, 1\)$"):
            number("", "n", value, above=0, below=1)


def test_one_of_and_several() -> None:
    assert one_of("", "form", "a", ("a", None)) == "a"
    assert one_of("", "form", None, ("a", None)) is None
    with pytest.raises(ValueError, match=r"^Owner: form='c' must be one of a, b$"):
        one_of("Owner", "form", "c", ("a", "b"))
    assert several("", "rows", [1, 2]) == several("", "rows", (1, 2), 2) == (1, 2)
    for value in ([], "ab", 3, None, {1}, [1]):
        with pytest.raises(ValueError, match=r"^Owner: rows="):
            several("Owner", "rows", value, 2)


def test_the_owner_is_named_and_a_long_value_is_cut() -> None:
    for owner in ("Owner", Fraction, Fraction(1)):
        name = owner if isinstance(owner, str) else "Fraction"
        said = str(wrong(owner, "rows", "a\nb" * 100, "be short"))
        assert said.startswith(f"{name}: rows='a")
        assert "\n" not in said
        assert len(said) < 120
