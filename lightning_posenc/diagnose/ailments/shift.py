"""Do answers move with the start, where the encoding says that they do not?"""

from lightning_posenc.diagnose.ailments.base import (
    NOT_FINITE,
    Ailment,
    Finding,
    Remedy,
    healthy,
    ill,
    not_applicable,
    not_judged,
)
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.language import Language

MOVES = 1e-4  # change of the outputs over their spread; docs/diagnose.md says where it is from


def _moves(e: Examination) -> Finding:
    if not e.is_own:
        return _of_other(e.language)
    found = e.shift
    if found is None:
        return not_judged(NOT_FINITE)
    if not found.by_shift:
        return not_applicable("positions further on are refused")
    changes = ", ".join(f"{change:.1g} for {c:,}" for c, change in found.by_shift.items())
    said = f"positions shifted, outputs change by, over their spread, {changes}"
    if not found.claimed:
        return not_applicable(f"{e.encoding} does not say that the start is all one; {said}")
    if found.half:
        return not_judged(f"weights in half precision round by more: {said}")
    if max(found.by_shift.values()) > MOVES:
        return ill(
            f"{e.encoding} knows distances alone, yet {said}",
            Remedy("", "keep positions, angles, cosines and sines in float32"),
            Remedy("", "see what else reads positions: hooks, a cache, the counting of documents"),
        )
    return healthy(said)


def _of_other(language: Language | None) -> Finding:
    """Of another package's model nobody says whether they should: the section shows the changes."""
    if language is None or language.shift is None:
        return not_judged("positions were not shifted: see 17")
    changes = ", ".join(f"{change:.1g} for {c:,}" for c, change in language.shift.items())
    return not_judged(f"positions shifted, logits change by, over their spread, {changes}: see 17")


MOVES_WITH_START = Ailment(
    23,
    "answers move with the start",
    "answers stay where the start moves",
    "The same tokens further on are answered otherwise: behind a prompt, in a cache, in a row of "
    "several documents.",
    _moves,
)
