"""Fixed datasets: training in shuffled passes over all items, evaluation on each item once."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_posenc.checks import MOST_STEPS, is_a, number, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.module import StreamData, lengths_to_test
from lightning_posenc.data.stream import ShuffledPasses
from lightning_posenc.tasks import Draws


class FiniteDataset(Dataset[Batch], ABC):
    """A known number of items, fetched a batch at a time."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitems__(self, indices: list[int]) -> Batch:
        """These items, as one batch."""

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])


class FiniteData(StreamData, ABC):
    """Batches of fixed datasets, whose items are cut to whatever length is asked for.

    Args:
        path: where the items come from.
        train_length: T, tokens of an item in training and validation, at least 1.
        eval_lengths: lengths to test, in tokens; None for `train_length`.
        val_fraction: share of the items for validation, between 0 and 1.
        steps_per_epoch: training batches in an epoch; None for as many as one pass fills.
        options: those of `StreamData`.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        path: str,
        train_length: int,
        eval_lengths: list[int] | None,
        val_fraction: float,
        steps_per_epoch: int | None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.path = is_a(self, "path", path, str)
        self.train_length = whole(self, "train_length", train_length)
        tested = lengths_to_test(eval_lengths, train_length)
        self.eval_lengths = tested
        self.val_fraction = number(self, "val_fraction", val_fraction, above=0, below=1)
        if steps_per_epoch is not None:
            whole(self, "steps_per_epoch", steps_per_epoch, most=MOST_STEPS)
        self.steps_per_epoch = steps_per_epoch

    def __str__(self) -> str:
        # Lightning's would open all loaders, before there is a trainer, to tell their sizes.
        return f"{type(self).__name__}({self.path})"

    @abstractmethod
    def _dataset(self, split: str, length: int) -> FiniteDataset:
        """The items of `train`, `val` or `test`, cut to a length in tokens."""

    def _held_out(self, n: int) -> tuple[Tensor, Tensor]:
        """Which of n >= 2 items to train and to validate on, drawn once and for any seed."""
        n_val = max(1, int(self.val_fraction * n))
        order = Draws(0, "split", torch.tensor([0])).permutation(n)[0]
        return order[n_val:].sort()[0], order[:n_val].sort()[0]

    def train_dataloader(self) -> Iterable[Batch]:
        """The share of this rank in the stream of shuffled items."""
        items = self._dataset("train", self.train_length)
        n_batches = self.steps_per_epoch or max(1, len(items) // self.batch_size)
        return self._train_loader(items, n_batches, ShuffledPasses(len(items), self.seed))

    def val_dataloader(self) -> DataLoader:
        """All validation items, cut to `train_length`."""
        items = self._dataset("val", self.train_length)
        return self._eval_loader(items, len(items))

    def test_dataloader(self) -> list[DataLoader]:
        """All test items, one loader for each of `eval_lengths`."""
        tests = [self._dataset("test", length) for length in self.eval_lengths]
        return [self._eval_loader(items, len(items)) for items in tests]

    def predict_dataloader(self) -> DataLoader:
        """The test items, cut to the first of `eval_lengths`."""
        items = self._dataset("test", self.eval_lengths[0])
        return self._predict_loader(items, len(items))
