"""What an ailment is, and what the doctor finds about it."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from lightning_posenc.studies.doctor.examination import Examination

TRAINED = 100  # optimizer steps from which on a model is judged as a trained one
AT_BOUND = 0.15  # of the way from the bound without order to 1: no better than blind to order


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
        name: A few words.
        meaning: What it means for the model, in one sentence.
        judge: Gives the finding of an examination.
    """

    number: int
    name: str
    meaning: str
    judge: Callable[[Examination], Finding]


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


def _named(by_layer: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name.replace("_", " "): values for name, values in by_layer.items()}


def is_trained(examination: Examination) -> bool | None:
    """Whether the model was trained for long enough to be judged as such; None: nobody knows."""
    return None if examination.steps is None else examination.steps >= TRAINED


def accuracy(examination: Examination) -> float | None:
    """At the trained length; None if there are no targets."""
    lengths = examination.lengths
    return lengths.accuracy.get(lengths.trained)


def at_bound(examination: Examination) -> bool:
    """Whether a trained model does no better than one that is blind to order could."""
    bound, reached = examination.lengths.bound, accuracy(examination)
    if not is_trained(examination) or bound is None or reached is None:
        return False
    return bound < 1 and reached < bound + AT_BOUND * (1 - bound)
