"""Any synthetic task as sources and answers, for a model that reads the one and writes the other.

Shapes: B samples, T tokens of a sample, S of a source, A of an answer.
"""

from typing import Any

import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.lengths import Lengths
from lightning_posenc.data.synthetic import SyntheticData, TaskDataset
from lightning_posenc.tasks import IGNORE, DecoderTask, Reverse, Task


class PairData(SyntheticData):
    """A synthetic task whose answers are written: the source is what is asked.

    Of a task that continues a prompt that is the prompt; of others it is all tokens, and the answer
    is the class, or those of the scored tokens in their order. An answer ends with token V - 1, so
    that V is `n_classes`. Lengths, seeds and splits are those of `SyntheticData`. What is reached
    without order is not known: a decoder sees what it has written.

    Args:
        task: what to learn; None for `Reverse()`.
        options: those of `SyntheticData`.
    """

    def __init__(self, task: Task | None = None, **options: Any) -> None:
        super().__init__(Reverse() if task is None else task, **options)

    @property
    def n_classes(self) -> int:
        """V, tokens of answers, the end among them."""
        return self.task.n_classes + (not isinstance(self.task, DecoderTask))

    def bag_of_tokens_bounds(self) -> dict[int, float]:
        """Of no length: those of the task hold for one that does not see its own answer."""
        return {}

    def printed_answer(self, ids: list[int]) -> str:
        """An answer for a person to read, without its end."""
        symbols = self.task.symbols
        return " ".join(str(n) if symbols is None else symbols[n] for n in ids)

    def predicted(self, row: int, classes: Any, probabilities: Any) -> dict[str, Any]:
        if not isinstance(classes, list):
            return super().predicted(row, classes, probabilities)
        return {"prediction": self.printed_answer(classes)}

    def _dataset(self, split: str, lengths: int | Lengths) -> TaskDataset:
        return _Pairs(self.task, self.seed, split, lengths)


class _Pairs(TaskDataset):
    """Samples of a task as pairs."""

    def __getitems__(self, indices: list[int]) -> Batch:
        return as_pairs(super().__getitems__(indices), self.task)


def as_pairs(batch: Batch, task: Task) -> Batch:
    """Sources (B, S) in `tokens` and answers (B, A) in `targets`, each ending with an end.

    Args:
        batch: Samples of the task.
        task: Theirs.
    """
    targets = batch.targets if batch.targets.dim() > 1 else batch.targets.unsqueeze(1)
    if not isinstance(task, DecoderTask):
        return batch._replace(targets=ended(targets, task.n_classes), focus=None)
    assert task.end == task.n_classes - 1  # which its answers end with
    starts = (targets != IGNORE).int().argmax(dim=1) + 1
    width = int(starts.max())
    beyond = torch.arange(width) >= starts.unsqueeze(1)
    positions = batch.positions
    return Batch(
        tokens=batch.tokens[:, :width].masked_fill(beyond, 0),
        targets=at_the_front(targets),
        lengths=starts,
        positions=positions if positions is None else positions[:, :width],
    )


def at_the_front(targets: Tensor) -> Tensor:
    """The scored tokens of each row (B, T) in their order, and IGNORE behind them, (B, A)."""
    scored = targets != IGNORE
    order = (~scored).int().argsort(dim=1, stable=True)
    longest = max(int(scored.sum(dim=1).max()), 1)
    return targets.gather(1, order)[:, :longest]


def ended(targets: Tensor, end: int) -> Tensor:
    """The same with an end behind the last of them, (B, A + 1)."""
    answers = at_the_front(targets)
    answers = torch.cat([answers, torch.full_like(answers[:, :1], IGNORE)], dim=1)
    lengths = (answers != IGNORE).sum(dim=1, keepdim=True)
    return answers.scatter(1, lengths, end)
