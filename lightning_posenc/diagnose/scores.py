"""How good are a model's answers, and how good is one answer given always?

Shapes: B sequences, T tokens, C classes, N scored targets.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.modules import EncoderModule
from lightning_posenc.tasks import IGNORE

LEARNED = 0.9  # of the loss of the best single answer, below which a model has learned something


class Score(NamedTuple):
    """How good the answers to some sequences are.

    Args:
        accuracy: Share of the scored targets that are right, in [0, 1].
        loss: Mean cross entropy of the scored targets, in nats.
        error: Standard error of the accuracy, from the spread between sequences.
    """

    accuracy: float
    loss: float
    error: float


class Guess(NamedTuple):
    """The best that a model can do which looks at nothing: one answer, given always.

    Args:
        accuracy: Share of the commonest target.
        loss: Entropy of the targets, in nats.
    """

    accuracy: float
    loss: float


class Answers(NamedTuple):
    """Scores (B, C) or (B, T, C) and targets (B,) or (B, T) of each of several batches."""

    logits: list[Tensor]
    targets: list[Tensor]


@torch.no_grad()
def answers(
    module: EncoderModule,
    batches: Iterable[Batch],
    change: Callable[[Batch], Batch] | None = None,
) -> Answers:
    """Run a model.

    Args:
        module: The model, in evaluation mode.
        batches: Its sequences.
        change: What is done to each batch before.
    """
    logits, targets = [], []
    for index, batch in enumerate(batches):
        _, scores, asked = module.score(batch if change is None else change(batch), index)
        logits.append(scores.float())
        targets.append(asked)
    return Answers(logits, targets)


def score(given: Answers) -> Score | None:
    """Score answers; None if no target is scored, or one of the numbers is not finite."""
    right, scored, surprise = [], [], 0.0
    for logits, targets in zip(*given, strict=True):
        real = targets != IGNORE
        asked = targets.masked_fill(~real, 0)
        chosen = logits.log_softmax(dim=-1).gather(-1, asked.unsqueeze(-1)).squeeze(-1)
        surprise -= float(chosen.double()[real].sum())
        hits = (logits.argmax(dim=-1) == targets) & real
        right.append(hits.view(len(hits), -1).sum(dim=1))
        scored.append(real.view(len(real), -1).sum(dim=1))
    found, counts = torch.cat(right).double(), torch.cat(scored).double()
    n = float(counts.sum())
    if n == 0 or not torch.isfinite(torch.tensor(surprise)):
        return None
    accuracy = float(found.sum()) / n
    spread = (found - accuracy * counts).square().sum().sqrt()
    return Score(accuracy, surprise / n, float(spread) / n)


def best_guess(given: Answers) -> Guess | None:
    """One answer for all targets; None if none is scored."""
    targets = torch.cat([each.flatten() for each in given.targets])
    targets = targets[targets != IGNORE]
    if not len(targets):
        return None
    shares = targets.bincount().double() / len(targets)
    return Guess(float(shares.max()), float(-torch.xlogy(shares, shares).sum()))
