"""Answers that move with the start are named where the encoding says that they do not."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc.diagnose.ailments.shift import MOVES, MOVES_WITH_START
from lightning_posenc.diagnose.shift import ShiftChanges, measure_shift
from lightning_posenc.positional import ALiBi, Chain, Factory, NoPE, RoPE, Sinusoidal, SSMax, T5Bias
from tests.cases import CASES
from tests.diagnose.test_doctor import subject

MOVED = {RoPE: True, ALiBi: True, T5Bias: True, NoPE: True, Sinusoidal: False}


class ShiftExamined:
    """As much of an examination as is judged."""

    is_own, encoding, language = True, "RoPE", None

    def __init__(self, shift: ShiftChanges) -> None:
        self.shift = shift


def verdict(found: ShiftChanges) -> str:
    judged: Any = ShiftExamined(found)
    return MOVES_WITH_START.judge(judged).verdict


@pytest.mark.parametrize("encoding", MOVED)
def test_healthy_models_stay_or_say_that_they_move(encoding: Factory) -> None:
    torch.manual_seed(0)
    found = measure_shift(subject(encoding))
    assert found.claimed == MOVED[encoding]
    assert (max(found.by_shift.values()) < MOVES / 10) == found.claimed
    assert verdict(found) == ("healthy" if found.claimed else "not applicable")


def test_a_chain_is_as_its_parts_are() -> None:
    assert measure_shift(subject(Chain.of(RoPE, ALiBi))).claimed
    assert not measure_shift(subject(Chain.of(RoPE, SSMax))).claimed


@pytest.mark.parametrize("what", ["cosines", "positions"])
def test_a_rotation_in_bfloat16_is_ill(what: str) -> None:
    torch.manual_seed(0)
    someone = subject(RoPE, init_std=0.3)
    rotary: Any = someone.module.positional
    angles, coefficients = rotary.angles, rotary.coefficients

    def half(x: Tensor) -> Tensor:
        return x.bfloat16().float()

    if what == "cosines":
        rotary.coefficients = lambda x: tuple(half(y) for y in coefficients(x))
    else:
        rotary.angles = lambda positions, inv_freq: angles(half(positions.float()), inv_freq)
    found = measure_shift(someone)
    assert verdict(found) == "ill", found


def test_every_claim_is_one_that_the_suite_holds() -> None:
    for case in CASES:
        encoding = case.factory(dims_of(case))
        if encoding.shift_invariant:
            assert case.shift_invariant, case.name


def dims_of(case: Any) -> Any:
    """Sizes for which a case is not refused."""
    from lightning_posenc.testing.sizes import dims

    return dims(bool(case.refused))
