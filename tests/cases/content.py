"""Encodings that read the tokens between a query and a key."""

from tests.cases.base import Case

CASES: tuple[Case, ...] = ()
