"""Synthetic tasks as data."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightning_posenc.checks import is_a
from lightning_posenc.data.ahead import Ahead
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.drawn import DrawnData
from lightning_posenc.data.lengths import Lengths
from lightning_posenc.data.meaning import described, differences
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
            buckets or stages give all of them one length.
    """

    def __init__(self, task: Task, seed: int, split: str, lengths: int | Lengths) -> None:
        self.task = task
        self.seed = seed
        self.split = split
        self.lengths = lengths
        self._ahead: Ahead | None = None
        if not isinstance(lengths, int) and lengths.share_a_width:
            width = task.width(lengths.high)
            self._ahead = Ahead(self._made, lengths.high - lengths.low + 1, width)
        self.per_token = {"tokens", "positions"} | ({"targets"} if task.kind == "token" else set())

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """The samples with these numbers, as one batch."""
        index = torch.tensor(indices, dtype=torch.int64)
        return self._made(index) if self._ahead is None else self._ahead(index)

    def _made(self, index: Tensor) -> Batch:
        if isinstance(self.lengths, int):
            sample = generate(self.task, self.seed, self.split, index, self.lengths)
        else:
            chosen = self.lengths(self.seed, self.split, index)
            width = self.task.width(self.lengths.padded_to(chosen))
            sample = self._of_lengths(index, chosen, width)
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


class SyntheticData(DrawnData):
    """A synthetic task: train on some lengths, test on others.

    Args:
        task: what to learn; None for `PositionPattern()`.
        train_length: length of the problems in training and validation, in the task's unit, or
            lengths: see `DrawnData`.
        eval_lengths: lengths to test; None for the longest of training.
        options: the others of `DrawnData`.

    Raises:
        ValueError: if a number is out of range or the task cannot make one of the lengths.
    """

    def __init__(
        self,
        task: Task | None = None,
        train_length: int | list[int] | Lengths = 32,
        eval_lengths: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(train_length, eval_lengths, **options)
        self.task: Task = PositionPattern() if task is None else is_a(self, "task", task, Task)
        for length in self.named_lengths:
            self.task.check_length(length)

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
        return {"task": self.task, **super().options()}

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

    def bag_of_tokens_bounds(self) -> dict[int, float]:
        """Best accuracy without positions, for the shortest, longest and each tested length."""
        return {n: self.task.bag_of_tokens_bound(n) for n in self.named_lengths}

    def _dataset(self, split: str, lengths: int | Lengths) -> TaskDataset:
        return TaskDataset(self.task, self.seed, split, lengths)
