"""Which of several ailments is the cause?

The doctor cuts away what each names, one at a time and in a copy, and looks whether the score comes
back. Where no cut tells, the one comes first that can bring the others about.
"""

from collections.abc import Iterator
from typing import NamedTuple

from lightning_posenc.diagnose.ailments import Ailment, Finding, Verdict
from lightning_posenc.diagnose.ailments.attention import is_uniform
from lightning_posenc.diagnose.ailments.base import at_bound, fallen, healing, learned
from lightning_posenc.diagnose.causes.ablations import ABLATIONS
from lightning_posenc.diagnose.causes.trying import AblationTrials, Tried
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.diagnose.treatments import LOGITS

ALIKE = 0.1  # of the accuracy: gains that are no farther apart tell nothing of each other

# Numbers of ailments: what stands earlier can bring about what stands later. A leak or another
# evaluation puts all scores into doubt; numbers that are too large or alike leave no signal to any
# encoding; an encoding that learns nothing, or cannot, leaves a model that ignores order; tables
# that end, or were not trained, or turns that never end fail at longer lengths.
FIRST_CAUSES = (15, 14, 17, 12, 9, 8, 7, 6, 2, 1, 10, 3, 5, 4, 19, 22, 11, 18, 23, 20, 21, 16, 13)
# Of cuts that both bring the score back: one that leaves a block's own size as it is says more.
SPARING = (7, 8, 9, 6, 2, 1, 10)


class Cause(NamedTuple):
    """The ailment that brings the others about.

    Args:
        ailment: The ailment.
        said: How that is known, in one sentence.
        proved: Whether the score came back with this alone cut away.
        tried: What was cut away by training a copy, and what came of it.
    """

    ailment: Ailment
    said: str
    proved: bool
    tried: tuple[Tried, ...] = ()


def find_cause(
    subject: OwnModel,
    examination: Examination,
    diagnosis: list[tuple[Ailment, Finding]],
    seconds: float = 120.0,
) -> Cause | None:
    """Find it among what is ill; None where nothing is.

    Args:
        subject: The model and its data.
        examination: What was measured of it.
        diagnosis: What was found.
        seconds: That copies may be trained for, in all; 0 for no training.
    """
    ill = {ailment.number: ailment for ailment, found in diagnosis if found.verdict == Verdict.ILL}
    if not ill:
        return None
    if (treated := _treated(examination, ill)) is not None:
        return treated
    trials = AblationTrials(subject, examination, seconds)
    tried = tuple(_tries(trials, examination, ill))
    restoring = [each for each in tried if each.restores]
    if restoring:
        most = max(each.gained for each in restoring)
        named = {n for each in restoring if each.gained >= most - ALIKE for n in each.cut.ailments}
        number = next(n for n in SPARING if n in named & ill.keys())
        shown = next(each for each in restoring if number in each.cut.ailments)
        return Cause(ill[number], _said(shown), True, tried)
    # Attention that nothing tells where to look stays uniform: then it is no cause.
    late = {7} if is_uniform(examination) else set()
    order = [*(n for n in FIRST_CAUSES if n not in late), *late]
    first = next((n for n in order if n in ill), next(iter(ill)))
    said = _unproved(ill, first, tried)
    if trials.too_slow and seconds > 0:
        said += f"; no copy was trained, which takes longer than --cause_seconds={seconds:g}"
    return Cause(ill[first], said, False, tried)


def _treated(e: Examination, ill: dict[int, Ailment]) -> Cause | None:
    """What the treatments of the evaluation say: no training is needed to undo those faults."""
    best, found = healing(e), e.evaluation
    if best is None or found is None or found.before is None or 15 in ill:
        return None
    number = 7 if best.fault == LOGITS and 7 in ill else 14
    if number not in ill:
        return None
    said = (
        f"with {best.name} the accuracy is {best.score.accuracy:.3f}, without "
        f"{found.before.accuracy:.3f}"
    )
    return Cause(ill[number], said, True)


def _tries(trials: AblationTrials, e: Examination, ill: dict[int, Ailment]) -> Iterator[Tried]:
    """Cut away what can be of what is ill, where the score suffers."""
    fell = fallen(e)
    if e.evaluation is None or 15 in ill or (learned(e) and not at_bound(e) and not fell):
        return
    wanted = [cut for cut in ABLATIONS if cut.ailments & ill.keys()]
    for cut in wanted:
        if cut.at_once and (found := trials.at_once(cut)) is not None and found.restores:
            yield found
            return
    if fell:  # what was right a moment ago is not to be learned anew
        return
    for n_done, cut in enumerate(wanted):
        if (found := trials.retrained(cut, len(wanted) - n_done)) is not None:
            yield found


def _said(tried: Tried) -> str:
    after = f" after {tried.steps} more steps" if tried.steps else ""
    return (
        f"with {tried.cut.done}, and nothing else changed, the accuracy is "
        f"{tried.score.accuracy:.3f}{after}; without, {tried.without.accuracy:.3f}"
    )


def _unproved(ill: dict[int, Ailment], first: int, tried: tuple[Tried, ...]) -> str:
    alone = "nothing else is ill"
    why = alone if len(ill) == 1 else "it can bring about what else is ill"
    if not tried:
        return why
    return f"{why}; {'; '.join(map(_said, tried))}: this proves nothing"
