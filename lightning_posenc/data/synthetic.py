"""Synthetic tasks as data: fresh samples for training, fixed ones for evaluation."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_posenc.checks import MOST_STEPS, is_a, whole, wrong
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.lengths import Lengths, UniformLengths, lengths_to_test
from lightning_posenc.data.loaders import GlobalBatchData
from lightning_posenc.data.meaning import described, differences
from lightning_posenc.data.order import as_they_come
from lightning_posenc.data.saying import say
from lightning_posenc.tasks import IGNORE, PositionPattern, Sample, Task, generate


class TaskDataset(Dataset[Batch]):
    """The samples of a task, endlessly many, fetched a batch at a time.

    Args:
        task: the generator.
        seed: any integer.
        split: name of the stream, for example `"train"`.
        lengths: one length, or what chooses each sample's. All rows are padded to the width of the
            longest (token 0, not scored), so that a compiled model sees one shape; but not where
            buckets give all of them one length.
    """

    def __init__(self, task: Task, seed: int, split: str, lengths: int | Lengths) -> None:
        self.task = task
        self.seed = seed
        self.split = split
        self.lengths = lengths
        self.per_token = {"tokens", "positions"} | ({"targets"} if task.kind == "token" else set())

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """The samples with these numbers, as one batch."""
        index = torch.tensor(indices, dtype=torch.int64)
        if isinstance(self.lengths, int):
            sample = generate(self.task, self.seed, self.split, index, self.lengths)
        else:
            chosen = self.lengths(self.seed, self.split, index)
            longest = self.lengths.high if self.lengths.bucket == 1 else int(chosen.amax())
            sample = self._of_lengths(index, chosen, self.task.width(longest))
        return Batch(
            tokens=sample.tokens,
            targets=sample.targets,
            lengths=sample.lengths,
            positions=sample.positions,
            focus=sample.focus,
        )

    def _of_lengths(self, index: Tensor, lengths: Tensor, width: int) -> Sample:
        """Samples of several lengths in one rectangle, one call of the task for each length."""
        filled: dict[str, Tensor] = {}
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero()[:, 0]
            sample = generate(self.task, self.seed, self.split, index[rows], length)
            if sample.lengths is None:
                sample = sample._replace(lengths=torch.full_like(rows, sample.tokens.shape[1]))
            for name, value in sample._asdict().items():
                if value is None:
                    continue
                per_token = name in self.per_token
                if name not in filled:
                    shape = (width, *value.shape[2:]) if per_token else value.shape[1:]
                    fill = IGNORE if name == "targets" else 0
                    filled[name] = value.new_full((len(index), *shape), fill)
                if per_token and filled[name].shape[2:] != value.shape[2:]:
                    raise ValueError(
                        f"data.train_length: {type(self.task).__name__} places tokens relative to "
                        "each other, so its lengths cannot share a batch: give one length, or a "
                        "bucket of data.batch_size samples"
                    )
                if per_token:
                    filled[name][rows, : value.shape[1]] = value
                else:
                    filled[name][rows] = value
        return Sample(**filled)


class SyntheticData(GlobalBatchData):
    """A synthetic task: train on some lengths, test on others.

    Training samples never repeat. Validation has the lengths of training; the test has one loader
    for each of `eval_lengths`. Every sample is a function of (seed, split, number) alone.

    Args:
        task: what to learn; None for `PositionPattern()`.
        train_length: length of the problems in training and validation, in the task's unit;
            [low, high] for lengths drawn uniformly between the two, both included; or what chooses
            them: `UniformLengths`, `WeightedLengths`, `GrowingLengths`.
        eval_lengths: lengths to test; None for the longest of training.
        batch_size: sequences in a training batch over all ranks; a multiple of their number.
        steps_per_epoch: training batches in an epoch, at least 1.
        eval_samples: sequences in validation, at least 1, and in the test at each length; rounded
            up to a multiple of the number of ranks.
        eval_batch_size: sequences in an evaluation batch over all ranks; None for `batch_size`.
        seed: seed of the data; None for the run's own.
        num_workers: worker processes a loader.

    Raises:
        ValueError: if a number is out of range or the task cannot make one of the lengths.
    """

    def __init__(
        self,
        task: Task | None = None,
        train_length: int | list[int] | Lengths = 32,
        eval_lengths: list[int] | None = None,
        batch_size: int = 64,
        steps_per_epoch: int = 200,
        eval_samples: int = 2048,
        eval_batch_size: int | None = None,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, num_workers)
        self.task: Task = PositionPattern() if task is None else is_a(self, "task", task, Task)
        self.train_lengths = _lengths(train_length)
        low, high = _bounds(self.train_lengths)
        self.eval_lengths = lengths_to_test(eval_lengths, high)
        for length in (low, high, *self.eval_lengths):
            self.task.check_length(length)
        self.steps_per_epoch = whole(self, "steps_per_epoch", steps_per_epoch, most=MOST_STEPS)
        self.eval_samples = whole(self, "eval_samples", eval_samples)

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

    def options(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "train_length": self.train_lengths,
            "eval_lengths": self.eval_lengths,
            "steps_per_epoch": self.steps_per_epoch,
            "eval_samples": self.eval_samples,
            **super().options(),
        }

    def meaning(self) -> dict[str, Any]:
        sizes = {"vocab_size": self.vocab_size, "n_classes": self.n_classes, "kind": self.kind}
        return {"task": described(self.task), **sizes}

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Compare the tasks: one of other sizes is refused, another one is said.

        Raises:
            ValueError: naming what differs.
        """
        super().take_over(meaning, options)
        own = self.meaning()
        told = list(differences({"task": own["task"]}, {"task": meaning["task"]}))
        for name in ("kind", "vocab_size", "n_classes"):
            if own[name] != meaning[name]:
                why = "; ".join(told) or f"data.task={type(self.task).__name__}"
                raise ValueError(
                    f"{why}: so {name} is {own[name]} for {meaning[name]}, and the weights do not "
                    "fit: give the checkpoint's task"
                )
        for line in told:
            say(line)

    def _own_lengths(self) -> tuple[int, int]:
        return _bounds(self.train_lengths)

    def bag_of_tokens_bounds(self) -> dict[int, float]:
        """Best accuracy without positions, for the shortest, longest and each tested length."""
        lengths = sorted({*_bounds(self.train_lengths), *self.eval_lengths})
        return {length: self.task.bag_of_tokens_bound(length) for length in lengths}

    def _dataset(self, split: str, lengths: int | Lengths) -> TaskDataset:
        return TaskDataset(self.task, self.seed, split, lengths)

    def _n_eval(self) -> int:
        """`eval_samples`, rounded up so that all ranks get equally many."""
        world_size = self._rank_and_world_size()[1]
        return -(-self.eval_samples // world_size) * world_size

    def train_dataloader(self) -> DataLoader:
        """The share of this rank in the training stream."""
        dataset = self._dataset("train", self.train_lengths)
        return self._train_loader(dataset, self.steps_per_epoch, as_they_come)

    def val_dataloader(self) -> DataLoader:
        """Fixed samples with the lengths of training."""
        lengths = self.train_lengths
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


def _bounds(lengths: int | Lengths) -> tuple[int, int]:
    """Shortest and longest length."""
    return (lengths, lengths) if isinstance(lengths, int) else (lengths.low, lengths.high)
