"""Several tasks at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.checks import is_a, number, several, wrong
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task, generate


class Mixture(Task):
    """Each sample is one of several tasks; its first token says which.

    The tasks share token ids, as they share a model; the first token has one of its own for each
    task. Samples of narrower tasks are padded.

    Args:
        tasks: At least two, all asking for one answer a sequence, or all for one a token.
        weights: How likely each task is, not negative; None makes all alike.

    Raises:
        ValueError: If the tasks do not go together, or the weights do not fit them.
    """

    def __init__(self, tasks: Sequence[Task], weights: Sequence[float] | None = None) -> None:
        for task in several(self, "tasks", tasks):
            is_a(self, "tasks", task, Task)
        if len(tasks) < 2 or len({task.kind for task in tasks}) > 1:
            kinds = ", ".join(f"{type(task).__name__}: {task.kind}" for task in tasks)
            raise ValueError(
                f"Mixture: give at least two tasks of one kind, sequence or token, not [{kinds}]"
            )
        weights = [1.0] * len(tasks) if weights is None else weights
        for weight in several(self, "weights", weights, len(tasks)):
            number(self, "weights", weight, 0)
        if sum(weights) <= 0:
            raise wrong(self, "weights", weights, "not all be zero")
        self.tasks = list(tasks)
        self.kind = tasks[0].kind  # type: ignore[misc]
        self.share = torch.tensor(weights, dtype=torch.float64) / sum(weights)
        self.first = max(task.vocab_size for task in tasks)  # id of the first task's token
        self.vocab_size = self.first + len(tasks)
        self.n_classes = max(task.n_classes for task in tasks)
        self.min_length = max(task.min_length for task in tasks)

    def width(self, length: int) -> int:
        return 1 + max(task.width(length) for task in self.tasks)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        which = torch.bucketize(draws.uniform().double(), self.share.cumsum(0)[:-1], right=True)
        n, width = len(which), self.width(length)
        tokens = torch.zeros(n, width, dtype=torch.int64)
        tokens[:, 0] = self.first + which
        per_token = self.kind == "token"
        targets = torch.full((n, width) if per_token else (n,), IGNORE)
        lengths = torch.zeros(n, dtype=torch.int64)
        for place, task in enumerate(self.tasks):
            rows = (which == place).nonzero()[:, 0]
            sample = task.sample(draws.of(rows), length)
            if sample.positions is not None:
                raise ValueError(f"Mixture: {type(task).__name__} has positions of its own")
            here = sample.tokens.shape[1]
            tokens[rows, 1 : 1 + here] = sample.tokens
            lengths[rows] = 1 + (here if sample.lengths is None else sample.lengths)
            if per_token:
                targets[rows, 1 : 1 + here] = sample.targets
            else:
                targets[rows] = sample.targets
        return Sample(tokens, targets, lengths=lengths)

    def show(self, tokens: Sequence[int], targets: int | Sequence[int]) -> str:
        task = self.tasks[tokens[0] - self.first]
        own = targets if isinstance(targets, int) else targets[1:]
        return f"{type(task).__name__}: {task.show(tokens[1:], own)}"

    def check_length(self, length: int) -> None:
        for task in self.tasks:
            task.check_length(length)

    def bag_of_tokens_bound(self, length: int) -> float:
        """The tasks' bounds, each weighted by how many scored answers it brings."""
        counts = torch.stack([self._scored(task, length) for task in self.tasks])
        bounds = [task.bag_of_tokens_bound(length) for task in self.tasks]
        answers = self.share * counts
        return float((answers * answers.new_tensor(bounds)).sum() / answers.sum())

    @staticmethod
    def _scored(task: Task, length: int) -> Tensor:
        """Mean number of scored answers in a sample."""
        sample = generate(task, 0, "bound", torch.arange(64), length)
        return (sample.targets != IGNORE).sum() / torch.tensor(64.0, dtype=torch.float64)
