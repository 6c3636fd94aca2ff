"""Encodings that change the residual stream."""

# ruff: noqa: E501 (one line a case)

from functools import partial

from lightning_posenc.positional import LearnedAbsolute, Sinusoidal
from tests.cases.base import Case
from tests.oracles import absolute

# fmt: off
CASES: tuple[Case, ...] = (
    Case("sinusoidal", Sinusoidal, absolute.sinusoidal, shift_invariant=False),
    Case("sinusoidal-reinjected", partial(Sinusoidal, layers=(0, 1), scale=0.5), partial(absolute.sinusoidal, layers=(0, 1), scale=0.5), shift_invariant=False),
    Case("learned-absolute", partial(LearnedAbsolute, max_length=32), absolute.learned_absolute, shift_invariant=False, limit=32),
    Case("learned-absolute-reinjected", partial(LearnedAbsolute, max_length=32, layers=(0, 1)), partial(absolute.learned_absolute, layers=(0, 1)), shift_invariant=False, limit=32),
)
# fmt: on
