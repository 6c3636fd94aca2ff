"""The ailments, and what the doctor says about each."""

from lightning_posenc.diagnose.ailments.attention import ALIKE, ENTROPY
from lightning_posenc.diagnose.ailments.base import Ailment, Finding, Remedy, Verdict
from lightning_posenc.diagnose.ailments.depth import RANK, UNSTABLE
from lightning_posenc.diagnose.ailments.dilution import DILUTES_WITH_LENGTH
from lightning_posenc.diagnose.ailments.engineering import COST, PRECISION
from lightning_posenc.diagnose.ailments.evaluation import EVALUATION, LEAKS, NOT_LEARNED
from lightning_posenc.diagnose.ailments.fitting import fitting
from lightning_posenc.diagnose.ailments.gradient import GRADIENT
from lightning_posenc.diagnose.ailments.length import (
    FAILS_LONGER,
    HARD_MAXIMUM,
    UNTRAINED_ROWS_USED,
)
from lightning_posenc.diagnose.ailments.outliers import MASSIVE_ACTIVATIONS, RESTS_ON_FIRST
from lightning_posenc.diagnose.ailments.shift import MOVES_WITH_START
from lightning_posenc.diagnose.ailments.signal import CANNOT_ADAPT, FADES, IGNORES_ORDER
from lightning_posenc.diagnose.ailments.source import IGNORES_SOURCE
from lightning_posenc.diagnose.ailments.turns import TURNS
from lightning_posenc.diagnose.ailments.whereabouts import WHEREABOUTS
from lightning_posenc.diagnose.examination import Examination

AILMENTS = (
    EVALUATION, LEAKS, WHEREABOUTS, NOT_LEARNED,  # first: what they find puts all else into doubt
    FADES, CANNOT_ADAPT, ALIKE, UNTRAINED_ROWS_USED, HARD_MAXIMUM, GRADIENT, ENTROPY, RANK,
    UNSTABLE, IGNORES_ORDER, FAILS_LONGER, PRECISION, COST, IGNORES_SOURCE,
    TURNS, MASSIVE_ACTIVATIONS, RESTS_ON_FIRST, DILUTES_WITH_LENGTH, MOVES_WITH_START,
)  # fmt: skip


def judged(examination: Examination) -> list[tuple[Ailment, Finding]]:
    """What the doctor finds, by ailment; of another package's model, without arguments of `fit`."""
    found = [(ailment, ailment.judge(examination)) for ailment in AILMENTS]
    if examination.is_own:
        of = examination.mixers, examination.grid
        return [(ailment, fitting(each, *of)) for ailment, each in found]
    return [(ailment, _advice(each)) for ailment, each in found]


def _advice(found: Finding) -> Finding:
    """Without the remedies that are arguments of this package's `fit`."""
    return found._replace(remedies=tuple(each for each in found.remedies if not each.line))


__all__ = [
    "AILMENTS",
    "LEAKS",
    "NOT_LEARNED",
    "Ailment",
    "Finding",
    "Remedy",
    "Verdict",
    "judged",
]
