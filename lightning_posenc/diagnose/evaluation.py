"""Is the model evaluated as it was trained, and what did it learn?

Shapes: B sequences, T tokens, C classes.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.catalogue.described import longest
from lightning_posenc.data import Batch
from lightning_posenc.diagnose.learning import FreshTrial, attempt, movement
from lightning_posenc.diagnose.scores import (
    LEARNED,
    Answers,
    Guess,
    Score,
    answers,
    best_guess,
    score,
)
from lightning_posenc.diagnose.subject import OwnModel, Recorded
from lightning_posenc.diagnose.treatments import treatments
from lightning_posenc.tasks import IGNORE

N_TREATED = 64  # sequences that every treatment is tried on
N_CONFIRMED = 4096  # sequences of the validation set at most, to hold against what was recorded
GOOD = 0.85  # of the way from the bound, or from a guess, to 1: nothing has to be treated
SUSPECT = 0.05  # a fall of the accuracy from which on the whole validation set is scored
MOST_CLASSES = 256  # that are tried under other numbers


class Treated(NamedTuple):
    """The score under a treatment; see `Treatment`."""

    name: str
    fault: str
    score: Score
    gradual: bool = False


class Evaluation(NamedTuple):
    """Scores at the trained length.

    Args:
        score: On the validation data.
        guess: Of the best single answer.
        recorded: What the checkpoint says of its last validation; None if it says nothing.
        confirmed: Score on all of the validation data, where `score` is below what was recorded.
        training: Score on training batches, where the validation's is no better than `floor`.
        endless: Whether training data never repeat, so that none can be learned by heart.
        before: Score on those sequences that were treated; None if nothing had to be.
        treated: Under each treatment.
        moved: How far training moved the weights; see `movement`.
        trial: A small fresh model on the same data, where this one has learned nothing.
        transcribed: Whether answers are transcripts, whose accuracy is 1 less their error rate.
    """

    score: Score
    guess: Guess
    recorded: Recorded | None
    confirmed: Score | None
    training: Score | None
    endless: bool
    before: Score | None
    treated: tuple[Treated, ...]
    moved: float | None
    trial: FreshTrial | None
    transcribed: bool = False


def measure_evaluation(subject: OwnModel) -> Evaluation | None:
    """Score the subject as it is and under treatments; None if nothing can be scored."""
    given = answers(subject.module, subject.batches)
    now, guess = score(given), best_guess(given)
    if now is None or guess is None:
        return None
    bound = subject.bound if subject.bound is not None and subject.bound < 1 else guess.accuracy
    good = now.accuracy >= bound + GOOD * (1 - bound)
    recorded = subject.recorded
    fell = recorded is not None and recorded.accuracy - now.accuracy > SUSPECT
    before, treated = (None, ()) if good else _treated(subject)
    learned_nothing = now.loss > LEARNED * guess.loss
    return Evaluation(
        score=now,
        guess=guess,
        recorded=recorded,
        confirmed=score(answers(subject.module, _all(subject))) if fell else None,
        training=None if good else _on_training(subject),
        endless=subject.endless,
        before=before,
        treated=treated,
        moved=movement(subject.module),
        transcribed=subject.transcribes,
        trial=attempt(subject, guess.loss) if learned_nothing and subject.steps else None,
    )


def _all(subject: OwnModel) -> Iterable[Batch]:
    n = 0
    for batch in subject.validation():
        yield batch
        n += len(batch.tokens)
        if n >= N_CONFIRMED:
            return


def _on_training(subject: OwnModel) -> Score | None:
    """On as many training sequences as were validated."""
    wanted = sum(len(batch.tokens) for batch in subject.batches)
    taken: list[Batch] = []
    for batch in subject.training():
        taken.append(batch)
        if sum(len(each.tokens) for each in taken) >= wanted:
            break
    return score(answers(subject.module, taken)) if taken else None


def _treated(subject: OwnModel) -> tuple[Score | None, tuple[Treated, ...]]:
    batches = few_of(subject.batches, N_TREATED)
    given = answers(subject.module, batches)
    before = score(given)
    if before is None:
        return None, ()
    found = []
    limit = longest(subject.module.positional)
    for treatment in treatments(subject, limit):
        try:
            with treatment.scope():
                after = score(answers(subject.module, batches, treatment.change))
        except (ValueError, RuntimeError):  # what this encoding or this model cannot be given
            continue
        if after is not None:
            found.append(Treated(treatment.name, treatment.fault, after, treatment.gradual))
    for name, fault, other in _relabelled(given, batches):
        if (after := score(other)) is not None:
            found.append(Treated(name, fault, after))
    return before, tuple(found)


def few_of(batches: Sequence[Batch], n: int) -> list[Batch]:
    """The first n sequences."""
    taken: list[Batch] = []
    for batch in batches:
        if n <= 0:
            break
        taken.append(batch.first(n))
        n -= len(batch.tokens)
    return taken


def _relabelled(given: Answers, batches: list[Batch]) -> Iterable[tuple[str, str, Answers]]:
    """The same answers under other labels; not those that a model gives which repeats its input."""
    logits, targets = given.logits, given.targets
    if given.written:  # which of its tokens belongs where is what a transcript has to find out
        return
    if logits[0].dim() == 3:
        for by in (-1, 1):
            moved = [_along(each, by) for each in targets]
            if all(
                torch.equal(x[:, 1:], b.tokens[:, 1:]) for x, b in zip(moved, batches, strict=True)
            ):
                continue
            yield (
                f"targets moved by {by:+d}",
                "targets belong to other tokens",
                Answers(logits, moved),
            )
    if logits[0].shape[-1] <= MOST_CLASSES and len(logits[0]) >= 4:
        fitted = [(x[::2], y[::2]) for x, y in zip(logits, targets, strict=True)]
        tried = [(x[1::2], y[1::2]) for x, y in zip(logits, targets, strict=True)]
        names = _numbers(fitted)
        yield (
            "classes numbered anew",
            "classes have other numbers",
            Answers([x[..., names] for x, _ in tried], [y for _, y in tried]),
        )


def _along(targets: Tensor, by: int) -> Tensor:
    moved = targets.roll(by, dims=1)
    moved[:, 0 if by > 0 else -1] = IGNORE
    return moved


def _numbers(pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """For every class the one whose score it takes: pairs that occur most often go first."""
    n = pairs[0][0].shape[-1]
    counts = torch.zeros(n, n)
    for logits, targets in pairs:
        real = targets != IGNORE
        said, asked = logits.argmax(dim=-1)[real], targets[real]
        counts.index_put_((asked, said), torch.ones(len(said)), accumulate=True)
    names, free = torch.full((n,), -1), torch.ones(n, dtype=torch.bool)
    for pair in counts.flatten().argsort(descending=True).tolist():
        asked, said = divmod(pair, n)
        if names[asked] < 0 and free[said]:
            names[asked], free[said] = said, False
    return names
