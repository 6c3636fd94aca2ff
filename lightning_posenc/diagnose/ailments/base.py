"""What an ailment is, and what the doctor finds about it."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from lightning_posenc.diagnose.evaluation import Treated
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.scores import LEARNED
from lightning_posenc.diagnostics.thresholds import AT_BOUND

NOT_FINITE = "the states hold numbers that are not finite: see 9"
TRAINED = 100  # optimizer steps from which on a model is judged as a trained one
MOVED = 0.02  # by how much training moves known entries; docs/diagnose.md says where it is from
HEALED = 0.5  # of the way to 1 that a treatment by degrees takes the accuracy
CERTAIN = 5  # standard errors
FALLEN = 0.1  # of the accuracy, since the last validation
FALLEN_SHARE = 0.15  # of what it was above a guess


class Verdict(StrEnum):
    """What a finding says."""

    HEALTHY = "healthy"
    WATCH = "watch"
    ILL = "ill"
    NOT_APPLICABLE = "not applicable"
    NOT_JUDGED = "not judged"


class Remedy(NamedTuple):
    """An argument of `fit` to paste, and what it does. Without a line, advice for any model."""

    line: str
    why: str


class Finding(NamedTuple):
    """What the doctor says about one ailment of one model.

    Args:
        verdict: The verdict.
        said: What was measured, in one sentence.
        by_layer: What the verdict rests on, by layer.
        remedies: What helps; empty for a healthy model.
    """

    verdict: Verdict
    said: str
    by_layer: Mapping[str, list[float]] = MappingProxyType({})
    remedies: tuple[Remedy, ...] = ()


class Ailment(NamedTuple):
    """Something that can be wrong with a deep stack.

    Args:
        number: In the list of the documentation.
        name: A few words for what is wrong.
        sound: A few words for what is so in a model that does not have it.
        meaning: What it means for the model, in one sentence.
        judge: Gives the finding of an examination.
    """

    number: int
    name: str
    sound: str
    meaning: str
    judge: Callable[[Examination], Finding]

    def title(self, found: Finding) -> str:
        """Words that are true beside the verdict: a healthy model has not "not learned"."""
        return self.sound if found.verdict == Verdict.HEALTHY else self.name


def healthy(said: str, **by_layer: list[float]) -> Finding:
    """Nothing is wrong."""
    return Finding(Verdict.HEALTHY, said, _named(by_layer))


def watch(said: str, *remedies: Remedy, **by_layer: list[float]) -> Finding:
    """Something may go wrong."""
    return Finding(Verdict.WATCH, said, _named(by_layer), remedies)


def ill(said: str, *remedies: Remedy, **by_layer: list[float]) -> Finding:
    """Something is wrong."""
    return Finding(Verdict.ILL, said, _named(by_layer), remedies)


def not_applicable(why: str) -> Finding:
    """The model cannot have it."""
    return Finding(Verdict.NOT_APPLICABLE, why)


def not_judged(why: str, **by_layer: list[float]) -> Finding:
    """It cannot be told."""
    return Finding(Verdict.NOT_JUDGED, why, _named(by_layer))


def unmeasured(examination: Examination, why: str) -> Finding:
    """It was not measured: since states are not finite, or else for another reason."""
    return not_judged(why if examination.finite else NOT_FINITE)


def _named(by_layer: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name.replace("_", " "): values for name, values in by_layer.items()}


def unseen_attention(examination: Examination) -> str:
    """Why there is nothing to say about what tokens attend to, or how that is computed."""
    names = " and ".join(kind.__name__ for kind in examination.mixers)
    return f"tokens are mixed by {names}, without attention" if names else "attention was not seen"


def accuracy(examination: Examination) -> float | None:
    """At the trained length; None if there are no targets."""
    lengths = examination.lengths
    return lengths.accuracy.get(lengths.trained)


def floor(examination: Examination) -> float | None:
    """Accuracy that needs no order: the bound; or, if nobody knows it or it is 1, a guess's."""
    bound = examination.lengths.bound
    if bound is not None and bound < 1:
        return bound
    return examination.evaluation.guess.accuracy if examination.evaluation else None


def at_bound(examination: Examination) -> bool:
    """Whether a trained model does no better than one that is blind to order could."""
    bound, reached = examination.lengths.bound, accuracy(examination)
    if not is_trained(examination) or bound is None or reached is None:
        return False
    return bound < 1 and reached < bound + AT_BOUND * (1 - bound)


def above_guess(examination: Examination) -> bool:
    """Whether the accuracy is clearly above that of the best single answer."""
    found = examination.evaluation
    return found is not None and (
        found.score.accuracy > found.guess.accuracy + CERTAIN * found.score.error
    )


def learned(examination: Examination) -> bool:
    """Whether the score itself shows that the model was trained and works."""
    found, bound = examination.evaluation, examination.lengths.bound
    if found is None:
        return False
    if bound is not None and bound < 1:
        return found.score.accuracy >= bound + AT_BOUND * (1 - bound)
    return found.score.loss < LEARNED * found.guess.loss and above_guess(examination)


def knows_something(examination: Examination) -> bool:
    """Whether the loss is below that of the best single answer, by order or without."""
    found = examination.evaluation
    return found is not None and found.score.loss < LEARNED * found.guess.loss


def fallen(examination: Examination) -> bool:
    """Whether the score is far below what the last validation said."""
    found = examination.evaluation
    if found is None or found.recorded is None or found.confirmed is None:
        return False
    now, then = found.confirmed, found.recorded.accuracy
    least = max(FALLEN, FALLEN_SHARE * (then - found.guess.accuracy), CERTAIN * now.error)
    return then - now.accuracy > least


def healing(examination: Examination) -> Treated | None:
    """The treatment that makes the score right again, if there is one."""
    found = examination.evaluation
    if found is None or found.before is None or not found.treated:
        return None
    if found.moved is not None and found.moved < MOVED:  # it has nothing to come back to
        return None
    before, guess = found.before, found.guess
    best = max(found.treated, key=lambda each: each.score.accuracy - each.score.loss * 1e-3)
    after = best.score
    gained = after.accuracy - before.accuracy
    least = max(FALLEN, FALLEN_SHARE * (after.accuracy - guess.accuracy))
    if gained < max(least, CERTAIN * max(before.error, after.error)) or after.loss >= before.loss:
        return None
    if not best.gradual or gained >= HEALED * (1 - before.accuracy):
        return best
    awakens = before.loss > guess.loss and after.loss < LEARNED * guess.loss
    return best if awakens else None


def moved_enough(examination: Examination) -> bool:
    """Whether training moved the weights as far as learning does."""
    found, steps = examination.evaluation, examination.steps
    if steps is None or steps < TRAINED:
        return False
    return found is None or found.moved is None or found.moved >= MOVED


def is_trained(examination: Examination) -> bool | None:
    """Whether the model was trained for long enough to be judged as such; None: nobody knows."""
    if examination.steps is None:
        return None
    if examination.steps and (learned(examination) or fallen(examination)):
        return True
    return moved_enough(examination)


def may_blame(examination: Examination) -> bool:
    """Whether data, labels and steps are cleared, so that a part of the model can be at fault.

    They are where the model has learned something, be it without order, or a small fresh model
    learns from the same data at once.
    """
    found = examination.evaluation
    if found is None:
        return True
    if learned(examination) or knows_something(examination) or fallen(examination):
        return True
    return found.trial is not None and found.trial.learned
