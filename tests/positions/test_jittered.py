"""`Jittered`, beside the loop of the paper."""

import math
from itertools import product

import pytest
import torch

from lightning_posenc import Dims, Encoder
from lightning_posenc.positional import Sinusoidal
from lightning_posenc.positions import Grid, Jittered, Sequences

CPU = torch.device("cpu")


def test_jittered_stays_within_its_bounds_and_reaches_them() -> None:
    """(p + shift + jitter) * scale, undone pair by pair of tokens without jitter."""
    shift, jitter, scaling = 4.0, 0.5, 1.5
    scales, shifts = [], []
    for _ in range(300):
        first, last = Jittered(shift, 0.0, scaling)(Sequences(1, 11, CPU))[0, [0, -1]].tolist()
        scales.append((last - first) / 10)
        shifts.append(first / scales[-1])
    assert 1 / scaling - 1e-5 <= min(scales) < 0.7
    assert 1.4 < max(scales) <= scaling + 1e-5
    assert -shift - 1e-4 <= min(shifts) < -3.8
    assert 3.8 < max(shifts) <= shift + 1e-4
    assert 120 < sum(scale < 1 for scale in scales) < 180  # uniform in the logarithm
    jitters = Jittered(0.0, jitter, 1.0)(Sequences(300, 11, CPU)) - torch.arange(11)
    assert 0.49 < jitters.amax() <= jitter
    assert -jitter <= jitters.amin() < -0.49
    assert jitters.mean().abs() < 0.03
    assert jitters.unique().numel() > 3000


def test_jittered_by_up_to_half_a_token_keeps_the_order() -> None:
    assert (Jittered()(Sequences(200, 50, CPU)).diff(dim=1) > 0).all()


def test_jittered_equals_the_loop_of_the_paper() -> None:
    """With the numbers that the sampler draws, in its order."""
    positions = Jittered(3.0, 0.4, 1.2, mean_normalize=True)
    torch.manual_seed(5)
    drawn = positions(Sequences(2, 7, CPU)).tolist()
    torch.manual_seed(5)
    shifts, jitters, scales = (
        (2 * torch.rand(shape) - 1).tolist() for shape in ((2, 1), (2, 7), (2, 1))
    )
    for b, t in product(range(2), range(7)):
        centred = t - sum(range(7)) / 7
        moved = centred + 3.0 * shifts[b][0] + 0.4 * jitters[b][t]
        expected = moved * math.exp(scales[b][0] * math.log(1.2))
        assert drawn[b][t] == pytest.approx(expected, abs=1e-5)


def test_jittered_outside_of_training_is_as_it_was_drawn() -> None:
    assert Jittered().eval()(Sequences(3, 5, CPU)).tolist() == [[0, 1, 2, 3, 4]]
    assert Jittered(mean_normalize=True).eval()(Sequences(3, 5, CPU)).tolist() == [
        [-2, -1, 0, 1, 2]
    ]


def test_jittered_on_axes_scales_them_alike() -> None:
    drawn = Jittered(100.0, 0.0, 2.0, of=Grid((3, 4)))(Sequences(2, 12, CPU)).unflatten(1, (3, 4))
    down = drawn[:, 1:, :, 0] - drawn[:, :-1, :, 0]
    right = drawn[:, :, 1:, 1] - drawn[:, :, :-1, 1]
    for b in range(2):
        torch.testing.assert_close(down[b].unique()[0], right[b].unique()[0], rtol=0, atol=1e-4)
    assert (drawn[:, 0, 0, 0] - drawn[:, 0, 0, 1]).abs().amin() > 1e-2


def test_jittered_positions_train_an_encoder() -> None:
    model = Encoder(Dims(16, 2, 1), Sinusoidal, positions=Jittered())
    x = torch.randn(2, 10, 16)
    assert not torch.allclose(model(x), model(x), atol=1e-3)
    model.eval()
    assert torch.equal(model(x), model(x, positions=torch.arange(10).unsqueeze(0)))
