"""Synthetic tasks as data: fresh samples for training, fixed ones for evaluation."""

from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.module import StreamData, positive
from lightning_posenc.data.stream import as_they_come
from lightning_posenc.tasks import IGNORE, Draws, PositionPattern, Sample, Task, generate


class TaskDataset(Dataset[Batch]):
    """The samples of a task, endlessly many, fetched a batch at a time.

    Args:
        task: the generator.
        seed: any integer.
        split: name of the stream, for example `"train"`.
        low: shortest length.
        high: longest length; each sample draws its own, uniformly. All rows are padded to `high`
            (token 0, not scored), so that a compiled model sees one shape.
        tell_lengths: whether batches carry `lengths`.
    """

    def __init__(
        self, task: Task, seed: int, split: str, low: int, high: int, tell_lengths: bool
    ) -> None:
        self.task = task
        self.seed = seed
        self.split = split
        self.low = low
        self.high = high
        self.tell_lengths = tell_lengths

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """The samples with these numbers, as one batch."""
        index = torch.tensor(indices, dtype=torch.int64)
        if self.low == self.high:
            sample = generate(self.task, self.seed, self.split, index, self.high)
            lengths = torch.full_like(index, self.high)
        else:
            # A stream of its own, so that the length does not shift the sample's other numbers.
            draws = Draws(self.seed, f"{self.split}/length", index)
            lengths = draws.integers(self.low, self.high + 1)
            sample = self._of_lengths(index, lengths)
        return Batch(
            tokens=sample.tokens,
            targets=sample.targets,
            lengths=lengths if self.tell_lengths else None,
            focus=sample.focus,
        )

    def _of_lengths(self, index: Tensor, lengths: Tensor) -> Sample:
        """Samples of several lengths in one rectangle, one call of the task for each length."""
        shape = (len(index), self.high)
        tokens = torch.zeros(shape, dtype=torch.int64)
        targets = torch.full(shape if self.task.kind == "token" else shape[:1], IGNORE)
        focus = None
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero()[:, 0]
            sample = generate(self.task, self.seed, self.split, index[rows], length)
            tokens[rows, :length] = sample.tokens
            if sample.targets.ndim == 2:
                targets[rows, :length] = sample.targets
            else:
                targets[rows] = sample.targets
            if sample.focus is not None:
                focus = torch.zeros_like(index) if focus is None else focus
                focus[rows] = sample.focus
        return Sample(tokens, targets, focus)


class SyntheticData(StreamData):
    """A synthetic task: train on some lengths, test on others.

    Training samples never repeat. Validation has the lengths of training; the test has one loader
    for each of `eval_lengths`. Every sample is a function of (seed, split, number) alone.

    Args:
        task: what to learn; None for `PositionPattern()`.
        train_length: tokens a sequence in training and validation, or [low, high] for lengths
            drawn uniformly between the two, both included.
        eval_lengths: lengths to test; None for the longest of training.
        batch_size: sequences in a training batch over all ranks; a multiple of their number.
        steps_per_epoch: training batches in an epoch.
        eval_samples: sequences in validation, and in the test at each length; rounded up to a
            multiple of the number of ranks.
        eval_batch_size: sequences in an evaluation batch over all ranks; None for `batch_size`.
        seed: seed of the data.
        num_workers: worker processes a loader.

    Raises:
        ValueError: if a number is out of range or the task cannot make one of the lengths.
    """

    def __init__(
        self,
        task: Task | None = None,
        train_length: int | list[int] = 32,
        eval_lengths: list[int] | None = None,
        batch_size: int = 64,
        steps_per_epoch: int = 200,
        eval_samples: int = 2048,
        eval_batch_size: int | None = None,
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, num_workers)
        self.task = PositionPattern() if task is None else task
        self.mixed = not isinstance(train_length, int)
        self.train_lengths = _bounds(train_length)
        self.eval_lengths = [self.train_lengths[1]] if eval_lengths is None else list(eval_lengths)
        if not self.eval_lengths:
            raise ValueError("data.eval_lengths is empty: name at least one length, or null")
        for length in (*self.train_lengths, *self.eval_lengths):
            self.task.check_length(length)
        self.steps_per_epoch = positive("steps_per_epoch", steps_per_epoch)
        self.eval_samples = positive("eval_samples", eval_samples)

    @property
    def vocab_size(self) -> int:
        """Number of different tokens."""
        return self.task.vocab_size

    @property
    def n_classes(self) -> int:
        """Number of classes of the targets."""
        return self.task.n_classes

    @property
    def kind(self) -> Literal["sequence", "token"]:
        """Whether there is one target a sequence or one a token."""
        return self.task.kind

    def bag_of_tokens_bounds(self) -> dict[int, float]:
        """Best accuracy without positions, for the shortest, longest and each tested length."""
        lengths = sorted({*self.train_lengths, *self.eval_lengths})
        return {length: self.task.bag_of_tokens_bound(length) for length in lengths}

    def _dataset(self, split: str, low: int, high: int, tell_lengths: bool = False) -> TaskDataset:
        return TaskDataset(self.task, self.seed, split, low, high, tell_lengths)

    def _n_eval(self) -> int:
        """`eval_samples`, rounded up so that all ranks get equally many."""
        world_size = self._rank_and_world_size()[1]
        return -(-self.eval_samples // world_size) * world_size

    def train_dataloader(self) -> DataLoader:
        """The share of this rank in the training stream."""
        dataset = self._dataset("train", *self.train_lengths, tell_lengths=self.mixed)
        return self._train_loader(dataset, self.steps_per_epoch, as_they_come)

    def val_dataloader(self) -> DataLoader:
        """Fixed samples with the lengths of training."""
        dataset = self._dataset("val", *self.train_lengths, tell_lengths=self.mixed)
        return self._eval_loader(dataset, self._n_eval())

    def test_dataloader(self) -> list[DataLoader]:
        """Fixed samples, one loader for each of `eval_lengths`."""
        return [
            self._eval_loader(self._dataset("test", length, length), self._n_eval())
            for length in self.eval_lengths
        ]

    def predict_dataloader(self) -> DataLoader:
        """The test samples of the first of `eval_lengths`."""
        length = self.eval_lengths[0]
        return self._predict_loader(self._dataset("test", length, length), self.eval_samples)


def _bounds(train_length: int | list[int]) -> tuple[int, int]:
    """Shortest and longest length."""
    if isinstance(train_length, int):
        return train_length, train_length
    if len(train_length) != 2 or train_length[0] > train_length[1]:
        raise ValueError(
            f"data.train_length={list(train_length)}: give one length, or [low, high] "
            "with low <= high"
        )
    return train_length[0], train_length[1]
