"""What padding is filled with moves no token, and each row is measured without its own."""

import pytest
import torch

from lightning_posenc.positions import (
    Abacus,
    Interpolated,
    Jittered,
    PositionCoupling,
    Positions,
    Sequences,
)
from tests.positions.test_places import CPU
from tests.positions.texts import ids


@pytest.mark.parametrize(
    "sampler", [Abacus(), PositionCoupling(reversed_result=False, max_position=8)]
)
def test_digits_in_the_padding_belong_to_no_number(sampler: Positions) -> None:
    """A batch is padded with token 0, which may be a digit."""
    text, padded = ids("12+3=15"), ids("12+3=150000000000")
    expected = sampler.eval()(Sequences(1, 7, CPU, tokens=text))
    told = Sequences(1, 17, CPU, lengths=torch.tensor([7]), tokens=padded)
    assert sampler(told)[:, :7].tolist() == expected.tolist()
    assert not sampler(told)[:, 7:].any()


def test_each_row_is_squeezed_by_its_own_length() -> None:
    told = Sequences(3, 16, CPU, lengths=torch.tensor([16, 8, 3]))
    drawn = Interpolated(4)(told)
    counted = torch.arange(16).float()
    assert drawn.tolist() == [(counted / 4).tolist(), (counted / 2).tolist(), counted.tolist()]


def test_the_mean_is_that_of_the_tokens() -> None:
    told = Sequences(2, 5, CPU, lengths=torch.tensor([5, 3]))
    drawn = Jittered(mean_normalize=True).eval()(told)
    assert drawn.tolist() == [[-2, -1, 0, 1, 2], [-1, 0, 1, 2, 3]]
