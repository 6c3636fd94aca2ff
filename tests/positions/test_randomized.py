"""`Randomized`: sorted, distinct, uniform; its streams."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_posenc.positions import Consecutive, Randomized, Sequences

CPU = torch.device("cpu")


@given(st.integers(1, 40), st.integers(0, 2**31))
def test_randomized_up_to_the_length_is_consecutive(length: int, seed: int) -> None:
    drawn = Randomized(max_position=length, seed=seed)(Sequences(3, length, CPU))
    assert torch.equal(drawn, Consecutive()(Sequences(3, length, CPU)))


@given(st.integers(1, 20), st.integers(0, 40), st.booleans(), st.integers(0, 2**31))
def test_randomized_is_sorted_distinct_and_in_range(
    length: int, spare: int, per_sequence: bool, seed: int
) -> None:
    drawn = Randomized(length + spare, per_sequence, seed)(Sequences(3, length, CPU))
    assert drawn.shape == (3 if per_sequence else 1, length)
    assert (drawn.diff(dim=1) > 0).all()
    assert drawn.amin() >= 0
    assert drawn.amax() < length + spare


def test_randomized_is_uniform_over_subsets() -> None:
    drawn = Randomized(max_position=5, per_sequence=True, seed=0)(Sequences(10_000, 2, CPU))
    counts = torch.bincount(drawn[:, 0] * 5 + drawn[:, 1], minlength=25)
    expected = torch.zeros(5, 5)
    expected[tuple(torch.triu_indices(5, 5, offset=1))] = 1000.0
    # Ten pairs of a thousand each: a standard deviation is 30.
    assert (counts - expected.flatten()).abs().amax() < 150


def test_randomized_draws_one_row_for_the_batch_or_one_each() -> None:
    assert Randomized(64, seed=0)(Sequences(4, 8, CPU)).shape == (1, 8)
    assert Randomized(64, per_sequence=True, seed=0)(Sequences(4, 8, CPU)).unique(dim=0).shape == (
        4,
        8,
    )


def test_randomized_with_a_seed_is_a_stream_of_its_own() -> None:
    one, two, other = Randomized(512, seed=1), Randomized(512, seed=1), Randomized(512, seed=2)
    first = one(Sequences(1, 8, CPU))
    torch.rand(1)
    assert torch.equal(first, two(Sequences(1, 8, CPU)))
    assert not torch.equal(first, other(Sequences(1, 8, CPU)))
    assert not torch.equal(first, one(Sequences(1, 8, CPU)))


def test_randomized_without_a_seed_follows_the_global_one() -> None:
    positions = Randomized(512)
    torch.manual_seed(3)
    first = positions(Sequences(1, 8, CPU))
    assert not torch.equal(positions(Sequences(1, 8, CPU)), first)
    torch.manual_seed(3)
    assert torch.equal(positions(Sequences(1, 8, CPU)), first)


def test_randomized_stream_survives_copies() -> None:
    positions = Randomized(512, seed=1)
    positions(Sequences(1, 8, CPU))
    copies = [copy.deepcopy(positions), pickle.loads(pickle.dumps(positions))]
    following = positions(Sequences(1, 8, CPU))
    for copied in copies:
        assert torch.equal(copied(Sequences(1, 8, CPU)), following)


def test_errors_name_the_limit() -> None:
    with pytest.raises(ValueError, match="max_position=8"):
        Randomized(8)(Sequences(1, 9, CPU))
    with pytest.raises(ValueError, match="max_position=0 must be at least 1"):
        Randomized(0)
