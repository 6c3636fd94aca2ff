"""`Shifted`: one number for a sequence."""

import torch

from lightning_posenc.positions import Grid, Sequences, Shifted

CPU = torch.device("cpu")


def test_shifted_adds_one_number_to_each_sequence() -> None:
    positions = Shifted(max_shift=3)
    shifts = []
    for _ in range(50):
        drawn = positions(Sequences(4, 6, CPU))
        assert torch.equal(drawn - drawn[:, :1], torch.arange(6).expand(4, -1))
        shifts += drawn[:, 0].tolist()
    assert set(shifts) == {0, 1, 2, 3}
    assert all(shifts.count(shift) > 25 for shift in range(4))  # fifty of each are expected
    assert torch.equal(positions.eval()(Sequences(4, 6, CPU)), torch.arange(6).unsqueeze(0))


def test_shifted_once_for_the_batch_or_once_a_sequence() -> None:
    assert Shifted(10_000, per_sequence=False)(Sequences(4, 6, CPU)).shape == (1, 6)
    assert Shifted(10_000)(Sequences(4, 6, CPU))[:, 0].unique().numel() == 4


def test_shifted_moves_each_axis_by_itself() -> None:
    grid = Grid((2, 4))
    drawn = Shifted(10_000, of=grid)(Sequences(3, 8, CPU))
    shifts = drawn - grid(Sequences(3, 8, CPU))
    assert drawn.shape == (3, 8, 2)
    assert (shifts == shifts[:, :1]).all()
    assert shifts[:, 0].unique().numel() == 6
