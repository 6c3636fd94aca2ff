"""Blocks drawn at random: how many, which not, and of what the draw is a function."""

import torch

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import BigBird, GlobalTokens, RandomBlocks, Window

CPU = torch.device("cpu")


def test_as_many_are_drawn_as_asked_for() -> None:
    drawn = RandomBlocks(4, 3).drawn(10)
    assert (drawn.sum(dim=1) == 3).all()
    assert not drawn.diagonal().any()
    assert (RandomBlocks(4, 20).drawn(5).sum(dim=1) == 4).all()  # no more than there are


def test_what_is_seen_anyway_is_not_drawn() -> None:
    besides = Window(2) | GlobalTokens(1, 1)
    drawn = RandomBlocks(4, 2, besides=besides).drawn(12)
    assert not (drawn & besides.at(12, CPU).dense(12, 12, CPU)[0, 0]).any()
    assert drawn.sum(dim=1).tolist() == [0, *[2] * 10, 0]


def test_all_blocks_are_as_likely() -> None:
    counts = sum(RandomBlocks(1, 2, seed=seed).drawn(8).float() for seed in range(400))
    assert isinstance(counts, torch.Tensor)
    expected = 2 / 7 * (1 - torch.eye(8))
    assert (counts / 400 - expected).abs().max() < 5 * (2 / 7 * 5 / 7 / 400) ** 0.5


def test_the_draw_is_a_function_of_seed_and_length() -> None:
    def dense(seed: int, length: int) -> torch.Tensor:
        return BigBird(2, 1, seed).at(length, CPU).dense(length, length, CPU)

    assert torch.equal(dense(0, 40), dense(0, 40))
    assert not torch.equal(dense(0, 40), dense(1, 40))
    assert not torch.equal(dense(0, 40), dense(0, 42)[..., :40, :40])


def test_a_model_is_told_the_length() -> None:
    """The outputs are those of the pairs drawn for its length, in every layer."""
    torch.manual_seed(0)
    model, x = Encoder(Dims(16, 2, 2), mask=BigBird(2, 1), init_std=0.3), torch.randn(2, 21, 16)
    seen = BigBird(2, 1).at(21, CPU).dense(21, 21, CPU)[0, 0]
    assert not seen.all()
    for row in (5, 11):
        for blind in (~seen[row]).nonzero()[:2, 0].tolist():
            changed = x.clone()
            changed[:, blind] += 1.0
            one = Encoder(Dims(16, 2, 1), mask=BigBird(2, 1), init_std=0.3)
            torch.testing.assert_close(one(changed)[:, row], one(x)[:, row])
    assert model(x).isfinite().all()
