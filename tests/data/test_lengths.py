"""Lengths of samples: their distribution, buckets, the curriculum, and that they are pure."""

import pytest
import torch

from lightning_posenc.data import (
    GrowingLengths,
    Lengths,
    StagedLengths,
    SyntheticData,
    UniformLengths,
    WeightedLengths,
)
from lightning_posenc.tasks import Copy, Reverse, TreeDistance

MANY = torch.arange(6000)
EACH: list[Lengths] = [
    UniformLengths(3, 9),
    WeightedLengths({4: 1.0, 8: 3.0}),
    GrowingLengths(2, 12, samples=3000),
    UniformLengths(3, 9, bucket=16),
    GrowingLengths(2, 12, samples=3000, bucket=16),
]
STAGED = StagedLengths({0: 4, 96: 12, 160: 6})


@pytest.mark.parametrize("lengths", EACH, ids=lambda lengths: type(lengths).__name__)
def test_are_functions_of_the_number_alone(lengths: Lengths) -> None:
    chosen = lengths(0, "train", MANY)
    order = torch.randperm(len(MANY))
    assert torch.equal(lengths(0, "train", MANY[order]), chosen[order])
    assert not torch.equal(lengths(1, "train", MANY), chosen)
    assert not torch.equal(lengths(0, "val", MANY), chosen)
    assert chosen.min() == lengths.low
    assert chosen.max() == lengths.high


def test_uniform_and_weighted_shares() -> None:
    chosen = UniformLengths(3, 9)(0, "train", MANY)
    shares = torch.bincount(chosen, minlength=10)[3:] / len(MANY)
    torch.testing.assert_close(shares, torch.full((7,), 1 / 7), rtol=0, atol=0.02)
    weighted = WeightedLengths({4: 1.0, 8: 3.0, 9: 0.0})(0, "train", MANY)
    assert set(weighted.tolist()) == {4, 8}
    assert abs(float((weighted == 8).float().mean()) - 0.75) < 0.02


def test_a_bucket_has_one_length() -> None:
    chosen = UniformLengths(3, 9, bucket=16)(0, "train", MANY).view(-1, 16)
    assert (chosen == chosen[:, :1]).all()
    assert len(chosen[:, 0].unique()) == 7


def test_the_curriculum_grows_and_stays() -> None:
    lengths = GrowingLengths(2, 12, samples=3000)
    chosen = lengths(0, "train", MANY)
    for start, longest in ((0, 2), (300, 3), (1500, 7), (2999, 11), (3000, 12)):
        at = lengths(0, "train", torch.full((500,), start))
        assert (at == at[0]).all()  # the same number, the same length
        assert chosen[: start + 1].max() <= longest
    assert chosen[3000:].max() == 12
    assert chosen[3000:].min() == 2
    assert abs(float(chosen[3000:].float().mean()) - 7) < 0.3


def test_stages_begin_where_they_are_said_to() -> None:
    chosen = STAGED(0, "train", torch.arange(200)).tolist()
    assert chosen == [4] * 96 + [12] * 64 + [6] * 40
    assert (STAGED.low, STAGED.high) == (4, 12)
    assert STAGED(3, "train", torch.tensor([159, 0])).tolist() == [12, 4]
    in_buckets = StagedLengths({0: 4, 3: 12}, bucket=4)(0, "train", torch.arange(8))
    assert in_buckets.tolist() == [4] * 4 + [12] * 4


def test_validation_has_a_length_of_its_own() -> None:
    data = SyntheticData(Reverse(), STAGED, eval_samples=8, val_length=5)
    (batch, *_) = data.val_dataloader()
    assert batch.tokens.shape[1] == 5
    assert data.eval_lengths == [12]


@pytest.mark.parametrize("bucket", [1, 8])
def test_data_of_several_lengths(bucket: int) -> None:
    data = SyntheticData(
        Copy(), UniformLengths(3, 9, bucket=bucket), batch_size=8, steps_per_epoch=40
    )
    widths = set()
    for batch in data.train_dataloader():
        assert batch.lengths is not None
        widths.add(batch.tokens.shape[1])
        if bucket == 8:
            assert (batch.lengths == batch.tokens.shape[1]).all()
        beyond = torch.arange(batch.tokens.shape[1]) >= batch.lengths[:, None]
        assert (batch.targets[beyond] == -100).all()
        assert (batch.tokens[beyond] == 0).all()
    assert widths == (set(range(3, 10)) if bucket == 8 else {9})


def test_validation_has_the_last_lengths_of_a_curriculum() -> None:
    data = SyntheticData(Reverse(), GrowingLengths(2, 12, 10**6), eval_samples=512)
    (batch, *_) = data.val_dataloader()
    assert batch.tokens.shape[1] == 12
    assert data.eval_lengths == [12]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: UniformLengths(5, 4), "high=4 must be at least 5"),
        (lambda: UniformLengths(1, 4, bucket=0), "bucket=0 must be at least 1"),
        (lambda: WeightedLengths({}), "must name some length"),
        (lambda: WeightedLengths({3: -1.0, 4: 2.0}), "weights=-1.0 must be a number"),
        (lambda: GrowingLengths(1, 4, 0), "samples=0"),
        (lambda: StagedLengths({}), "name the length of sample 0"),
        (lambda: StagedLengths({0: 4, 8: 0}), "stages=0 must be at least 1"),
        (lambda: SyntheticData(Copy(), 4, val_length=2), "at least 3"),
        (lambda: SyntheticData(Copy(), UniformLengths(2, 4)), "at least 3"),
    ],
)
def test_mistakes(make, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        make()


def test_positions_that_cannot_be_padded_are_refused() -> None:
    task = TreeDistance()
    mixed = SyntheticData(task, [6, 9], batch_size=8, eval_samples=8, eval_lengths=[6])
    with pytest.raises(ValueError, match="TreeDistance places tokens relative to each other"):
        next(iter(mixed.train_dataloader()))
    alike = SyntheticData(task, UniformLengths(6, 9, bucket=8), batch_size=8, eval_lengths=[6])
    batch = next(iter(alike.train_dataloader()))
    assert batch.positions is not None
    width = batch.tokens.shape[1]
    assert batch.positions.shape == (8, width, width)
