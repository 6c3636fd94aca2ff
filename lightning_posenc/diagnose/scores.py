"""How good are a model's answers, and how good is one answer given always?

Shapes: B sequences, T tokens, C classes, N scored targets.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.modules import CTCModel, EncoderModule
from lightning_posenc.modules.transcripts import TokenErrorRate
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
    """What a model says of each of several batches.

    Args:
        logits: Scores (B, C) or (B, T, C).
        targets: (B,) or (B, T); of transcripts (B, U), whose tokens belong to no place.
        written: Of transcripts, what was written, (B, U').
        losses: Of transcripts, the loss of each batch in nats a token.
    """

    logits: list[Tensor]
    targets: list[Tensor]
    written: tuple[Tensor, ...] = ()
    losses: tuple[float, ...] = ()


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
    logits, targets, written, losses = [], [], [], []
    for index, batch in enumerate(batches):
        changed = batch if change is None else change(batch)
        loss, scores, asked = module.score(changed, index)
        logits.append(scores.float())
        targets.append(asked)
        if isinstance(module, CTCModel):
            written.append(module.predicted(scores, changed))
            losses.append(float(loss))
    return Answers(logits, targets, tuple(written), tuple(losses))


def score(given: Answers) -> Score | None:
    """Score answers; None if no target is scored, or one of the numbers is not finite.

    The accuracy of transcripts is 1 less their error rate, at least 0.
    """
    if given.written:
        return _of_transcripts(given)
    found = by_sequence(given)
    return _scored(found.right, found.scored, float(found.surprise.sum()))


class BySequence(NamedTuple):
    """What is counted of each of N sequences, (N,) each.

    Args:
        right: Scored targets that are right.
        scored: Scored targets.
        surprise: Cross entropy of all of them together, in nats, float64.
    """

    right: Tensor
    scored: Tensor
    surprise: Tensor


def by_sequence(given: Answers) -> BySequence:
    """Count right answers and their loss, sequence by sequence; not of transcripts."""
    right, scored, surprise = [], [], []
    for logits, targets in zip(given.logits, given.targets, strict=True):
        real = targets != IGNORE
        asked = targets.masked_fill(~real, 0)
        chosen = logits.log_softmax(dim=-1).gather(-1, asked.unsqueeze(-1)).squeeze(-1)
        kept = torch.where(real, chosen.double(), 0.0)
        surprise.append(-kept.view(len(kept), -1).sum(dim=1))
        hits = (logits.argmax(dim=-1) == targets) & real
        right.append(hits.view(len(hits), -1).sum(dim=1))
        scored.append(real.view(len(real), -1).sum(dim=1))
    return BySequence(torch.cat(right), torch.cat(scored), torch.cat(surprise))


def _of_transcripts(given: Answers) -> Score | None:
    errors, scored, surprise = [], [], 0.0
    metric = TokenErrorRate()
    for written, targets, loss in zip(given.written, given.targets, given.losses, strict=True):
        counts = (targets != IGNORE).sum(dim=1)
        surprise += loss * int(counts.sum())
        scored.append(counts)
        for said, asked in zip(written.split(1), targets.split(1), strict=True):
            metric.reset()
            metric.update(said, asked)
            errors.append(float(metric.errors))
    right = torch.cat(scored).cpu() - torch.tensor(errors)
    found = _scored(right, torch.cat(scored).cpu(), surprise)
    return None if found is None else found._replace(accuracy=max(found.accuracy, 0.0))


def _scored(right: Tensor, scored: Tensor, surprise: float) -> Score | None:
    """Of (B,) right and scored targets of each sequence, and the loss of all of them."""
    found, counts = right.double(), scored.double()
    n = float(counts.sum())
    if n == 0 or not math.isfinite(surprise):
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
