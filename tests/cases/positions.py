"""Samplers of positions, each under an encoding."""

from functools import partial

from lightning_posenc.positional import RoPE
from lightning_posenc.positions import PerDocument, Randomized
from tests.cases.base import Case
from tests.oracles import rotary

# fmt: off
CASES: tuple[Case, ...] = (
    Case("rope-randomized", RoPE, rotary.rope, positions=partial(Randomized, 64), limit=64),
    Case("rope-per-document", RoPE, rotary.rope, positions=PerDocument),
)
# fmt: on
