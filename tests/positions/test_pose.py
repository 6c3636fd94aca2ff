"""`PoSE`: chunks that skip, up to the length that is to be served."""

import random
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_posenc.positions import Consecutive, Grid, PoSE, Sequences, Shifted

CPU = torch.device("cpu")


def published(length: int, target: int, draw: random.Random) -> list[int]:
    """The positions of two chunks, as section 3 has them: u_0 = 0, u_1 from 0..target - length."""
    cut = draw.randint(1, length - 1)
    skipped = draw.randint(0, target - length)
    return [*range(cut), *(i + skipped for i in range(cut, length))]


def test_draws_what_the_paper_draws() -> None:
    """All outcomes of a short sample are equally often those of a transcription."""
    drawn = Counter(map(tuple, PoSE(6)(Sequences(40_000, 4, CPU)).tolist()))
    by_hand = random.Random(0)
    wanted = Counter(tuple(published(4, 6, by_hand)) for _ in range(40_000))
    assert drawn.keys() == wanted.keys()
    assert all(abs(n - wanted[positions]) < 500 for positions, n in drawn.items())


@given(st.integers(1, 30), st.integers(0, 50), st.integers(2, 40), st.integers(0, 2**31))
def test_chunks_are_whole_and_lie_within_the_target(
    length: int, spare: int, n_chunks: int, seed: int
) -> None:
    torch.manual_seed(seed)
    drawn = PoSE(length + spare, n_chunks)(Sequences(5, length, CPU))
    steps = drawn.diff(dim=1)
    assert (drawn[:, 0] == 0).all()
    assert (steps >= 1).all()
    assert drawn.amax() < length + spare
    assert ((steps > 1).sum(dim=1) < n_chunks).all()


def test_no_cut_is_preferred_and_the_last_of_many_chunks_reaches_the_end() -> None:
    drawn = PoSE(8)(Sequences(20_000, 5, CPU))
    skipped = drawn - torch.arange(5)
    cuts = (skipped > 0).long().argmax(dim=1)[skipped[:, -1] > 0]
    counts = torch.bincount(cuts, minlength=5)[1:]
    assert (counts - 3750).abs().amax() < 300  # of 20,000, three quarters skip, at four cuts
    assert PoSE(13, 8)(Sequences(500, 8, CPU)).amax() == 12
    assert PoSE(9, n_chunks=50)(Sequences(1000, 8, CPU)).amax() == 8


def test_every_division_into_three_is_as_likely() -> None:
    drawn = PoSE(1000, 3)(Sequences(20_000, 5, CPU))
    steps = (drawn.diff(dim=1) > 1).long()
    both = steps[steps.sum(dim=1) == 2]
    counts = Counter(map(tuple, both.tolist()))
    assert len(counts) == 6
    assert max(counts.values()) / min(counts.values()) < 1.15


def test_padding_neither_changes_nor_is_part_of_a_draw() -> None:
    lengths = torch.tensor([5, 3, 1])
    found = []
    for length in (5, 9):
        torch.manual_seed(0)
        found.append(PoSE(40, 3)(Sequences(3, length, CPU, lengths=lengths)))
    for row, n in enumerate(lengths.tolist()):
        assert torch.equal(found[0][row, :n], found[1][row, :n])
        assert found[1][row, n - 1] < 40
    many = PoSE(12)(Sequences(4000, 9, CPU, lengths=torch.full((4000,), 3)))
    assert many.amax() == many[:, 2].amax() == 11


def test_without_room_or_outside_of_training_it_counts() -> None:
    assert torch.equal(
        PoSE(8)(Sequences(3, 8, CPU)), Consecutive()(Sequences(1, 8, CPU)).expand(3, -1)
    )
    assert torch.equal(PoSE(64).eval()(Sequences(3, 8, CPU)), Consecutive()(Sequences(3, 8, CPU)))
    assert PoSE(4).eval()(Sequences(1, 8, CPU)).tolist() == [list(range(8))]
    assert PoSE(64).bounds(8) == (0, 63)
    assert PoSE(64).eval().bounds(8) == (0, 7)
    assert PoSE(64, per_sequence=False)(Sequences(4, 8, CPU)).shape == (1, 8)


def test_composes_with_others() -> None:
    drawn = PoSE(100, of=Shifted(10))(Sequences(50, 8, CPU))
    assert drawn[:, 0].unique().numel() > 1
    grid = PoSE(100, of=Grid((2, 4)))(Sequences(2, 8, CPU))
    moved = grid - Grid((2, 4))(Sequences(1, 8, CPU))
    assert torch.equal(moved[..., 0], moved[..., 1])


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="8 tokens is longer than target_length=4"):
        PoSE(4)(Sequences(1, 8, CPU))
    with pytest.raises(ValueError, match="n_chunks=1 must be at least 2"):
        PoSE(8, 1)
