"""Encodings that turn queries and keys."""

# ruff: noqa: E501 (one line a case)

from functools import partial

from lightning_posenc.positional import RoPE
from tests.cases.base import Case
from tests.oracles import rotary

# fmt: off
CASES: tuple[Case, ...] = (
    Case("rope", RoPE, rotary.rope),
    Case("rope-interleaved", partial(RoPE, layout="interleaved", base=500.0), partial(rotary.rope, layout="interleaved", base=500.0)),
)
# fmt: on
