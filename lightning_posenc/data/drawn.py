"""Data that is drawn: fresh samples for training, fixed ones for evaluation."""

from abc import ABC, abstractmethod
from typing import Any

from torch.utils.data import DataLoader, Dataset

from lightning_posenc.checks import MOST_STEPS, whole, wrong
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.lengths import Lengths, UniformLengths, lengths_to_test
from lightning_posenc.data.loaders import GlobalBatchData
from lightning_posenc.data.order import as_they_come


class DrawnData(GlobalBatchData, ABC):
    """Samples of endless streams: train on some lengths, test on others.

    Training samples never repeat. Validation has the lengths of training; the test has one loader
    for each of `eval_lengths`. Every sample is a function of (seed, split, number) alone.

    Args:
        train_length: length of the samples in training and validation, in the data's unit;
            [low, high] for lengths drawn uniformly between the two, both included; or what chooses
            them: `UniformLengths`, `WeightedLengths`, `GrowingLengths`, `StagedLengths`.
        eval_lengths: lengths to test; None for the longest of training.
        batch_size: sequences in a training batch over all ranks; a multiple of their number.
        steps_per_epoch: training batches in an epoch, at least 1.
        eval_samples: sequences in validation, at least 1, and in the test at each length; rounded
            up to a multiple of the number of ranks.
        eval_batch_size: sequences in an evaluation batch over all ranks; None for `batch_size`.
        seed: seed of the data; None for the run's own.
        num_workers: worker processes a loader.
        val_length: length of the samples in validation; None for the lengths of training.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        train_length: int | list[int] | Lengths = 32,
        eval_lengths: list[int] | None = None,
        batch_size: int = 64,
        steps_per_epoch: int = 200,
        eval_samples: int = 2048,
        eval_batch_size: int | None = None,
        seed: int | None = None,
        num_workers: int = 0,
        val_length: int | None = None,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, num_workers)
        self.train_lengths = _lengths(train_length)
        self.eval_lengths = lengths_to_test(eval_lengths, self._own_lengths()[1])
        self.steps_per_epoch = whole(self, "steps_per_epoch", steps_per_epoch, most=MOST_STEPS)
        self.eval_samples = whole(self, "eval_samples", eval_samples)
        self.val_length = None if val_length is None else whole("data", "val_length", val_length)

    @property
    def named_lengths(self) -> list[int]:
        """The shortest and the longest length of training, and each that is evaluated."""
        return sorted({*self._own_lengths(), *self.eval_lengths, *filter(None, [self.val_length])})

    def options(self) -> dict[str, Any]:
        return {
            "train_length": self.train_lengths,
            "eval_lengths": self.eval_lengths,
            "steps_per_epoch": self.steps_per_epoch,
            "eval_samples": self.eval_samples,
            "val_length": self.val_length,
            **super().options(),
        }

    def _own_lengths(self) -> tuple[int, int]:
        lengths = self.train_lengths
        return (lengths, lengths) if isinstance(lengths, int) else (lengths.low, lengths.high)

    @abstractmethod
    def _dataset(self, split: str, lengths: int | Lengths) -> Dataset[Batch]:
        """The samples of a stream, endlessly many, fetched a batch at a time."""

    def _n_eval(self) -> int:
        """`eval_samples`, rounded up so that all ranks get equally many."""
        world_size = self._rank_and_world_size()[1]
        return -(-self.eval_samples // world_size) * world_size

    def train_dataloader(self) -> DataLoader:
        """The share of this rank in the training stream."""
        dataset = self._dataset("train", self.train_lengths)
        return self._train_loader(dataset, self.steps_per_epoch, as_they_come)

    def val_dataloader(self) -> DataLoader:
        """Fixed samples with the lengths of training, or `val_length`."""
        lengths = self.train_lengths if self.val_length is None else self.val_length
        if isinstance(lengths, Lengths):  # a curriculum's last lengths, in buckets or not
            lengths = UniformLengths(lengths.low, lengths.high)
        return self._eval_loader(self._dataset("val", lengths), self._n_eval())

    def test_dataloader(self) -> list[DataLoader]:
        """Fixed samples, one loader for each of `eval_lengths`."""
        return [
            self._eval_loader(self._dataset("test", length), self._n_eval())
            for length in self.eval_lengths
        ]

    def predict_dataloader(self) -> DataLoader:
        """The test samples of the first of `eval_lengths`."""
        length = self.eval_lengths[0]
        return self._predict_loader(self._dataset("test", length), self.eval_samples)


def _lengths(train_length: int | list[int] | Lengths) -> int | Lengths:
    if isinstance(train_length, Lengths):
        return train_length
    if not isinstance(train_length, list | tuple):
        return whole("data", "train_length", train_length)
    if len(train_length) != 2:
        raise wrong("data", "train_length", train_length, "be one length, or [low, high]")
    low = whole("data", "train_length", train_length[0])
    high = whole("data", "train_length", train_length[1])
    if low > high:
        raise wrong("data", "train_length", train_length, "be [low, high] with low <= high")
    return low if low == high else UniformLengths(low, high)
