"""Every encoding, its properties and its oracle: one line each.

Oracles and laws are checked on every case; the whole conformance suite runs on `METHODS`, the first
case of each class, scaling and sampler: the others differ from it by an option.
"""

from lightning_posenc import Dims
from tests.cases import (
    absolute,
    bias,
    compose,
    content,
    disentangled,
    distance,
    plane,
    positions,
    rotary,
    temperature,
)
from tests.cases.base import Case

CASES = (
    *compose.CASES,
    *absolute.CASES,
    *bias.CASES,
    *distance.CASES,
    *plane.CASES,
    *rotary.CASES,
    *temperature.CASES,
    *disentangled.CASES,
    *content.CASES,
    *positions.CASES,
)


def _method(case: Case) -> tuple[type, type, type]:
    """What the case is one of: its encoding, that one's scaling, and the sampler of positions."""
    encoding = case.factory(Dims(32, 4, 2, causal=True))
    return type(encoding), type(getattr(encoding, "scaling", None)), type(case.positions())


METHODS = tuple({_method(case): case for case in reversed(CASES)}.values())[::-1]

__all__ = ["CASES", "METHODS", "Case"]
