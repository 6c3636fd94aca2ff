"""Does another package's model get the positions of its training?"""

from collections.abc import Iterator
from typing import NamedTuple

from lightning_posenc.diagnose.ailments.base import (
    Ailment,
    Finding,
    Remedy,
    Verdict,
    healthy,
    not_applicable,
)
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.whereabouts import Gain, Whereabouts
from lightning_posenc.pretrained.doubts import CHANGED, HALF, NOT_APPLIED

UNFELT = 2e-7  # change over spread: rounding in single precision, or nothing at all
MOVED = 0.02  # change over spread: beyond rounding, in single precision
READ = 1e-3  # change over spread, when other tokens pad: rounding, or a mask that hides little
AROUND = 0.5  # of the trained length, by which the slowest pair must not have turned
LOWER = 0.03  # of the loss, from which on a lower one is worth a name
SURE = 0.1  # of the loss, from which on it is no matter of taste

_WRITE = (
    "write it as `rope_parameters` in config.json, with rope_theta and what its type needs, and "
    "load the folder again; `extend --hf … --save DIR` writes and proves one"
)
_HELPS = {
    NOT_APPLIED: _WRITE,
    CHANGED: f"a map is made once, when a model is loaded: {_WRITE}",
    HALF: "hand dtype to from_pretrained, which keeps inv_freq in float32, not `.to(dtype)`",
}


class Fault(NamedTuple):
    """One thing that is wrong: how much, what was seen, and what helps if that is known."""

    verdict: Verdict
    said: str
    helps: str = ""


def _whereabouts(e: Examination) -> Finding:
    found = e.whereabouts
    if found is None:
        return not_applicable("this package counts positions itself: see 12 and 14")
    faults = [*_of_files(found), *_of_answers(found), *_of_loss(found)]
    if not faults:
        return healthy(f"{found.told[0].sentence}; {_tried(found)}")
    faults.sort(key=lambda fault: fault.verdict != Verdict.ILL)  # stable: the worst first
    return Finding(
        faults[0].verdict,
        "; ".join(fault.said for fault in faults),
        remedies=tuple(Remedy("", fault.helps) for fault in faults if fault.helps),
    )


def _of_files(found: Whereabouts) -> Iterator[Fault]:
    grades = {"ill": Verdict.ILL, "watch": Verdict.WATCH}
    for doubt in found.doubts:
        if doubt.grade in grades:
            said = f"{doubt.name}: {doubt.sentence}"
            yield Fault(grades[doubt.grade], said, _HELPS.get(doubt.name, ""))


def _of_answers(found: Whereabouts) -> Iterator[Fault]:
    if found.felt is not None and found.felt < UNFELT and not found.still:
        yield Fault(
            Verdict.ILL,
            f"all tokens have one position: answers change by {found.felt:.1g} of their spread "
            "when positions are shuffled",
            "look at what makes its position_ids: every token gets the same one, or none is used",
        )
    elif found.counted is not None and found.counted > MOVED:
        yield Fault(
            Verdict.ILL,
            "positions are counted otherwise than in its family: answers change by "
            f"{found.counted:.2g} of their spread when it is told 0, 1, 2, …",
            "look at what counts them when no position_ids are given, or give them",
        )
    if found.apart is not None and found.apart < AROUND:
        yield Fault(
            Verdict.ILL,
            f"the base is too low: the slowest pair turns once in {found.apart:.2g} of the "
            "trained length, and tokens so far apart look alike",
            "set rope_theta to that of its training; if that is the one, train with a higher one",
        )
    padding = found.padding
    if padding is not None and padding.change > MOVED:
        cause, helps = (
            ("it reads its padding", "see that attention_mask reaches its attention")
            if padding.read > READ
            else (
                "its positions count the padding",
                "give position_ids = attention_mask.cumsum(-1) - 1, or pad on the right",
            )
        )
        yield Fault(
            Verdict.ILL,
            f"padding on the {padding.side}, as its tokenizer pads, changes answers by "
            f"{padding.change:.2g} of their spread: {cause}",
            helps,
        )


def _of_loss(found: Whereabouts) -> Iterator[Fault]:
    if found.loss is None or not found.gains:
        return
    best = max(found.gains, key=_lower)
    lower = _lower(best)
    if lower < LOWER * found.loss:
        return
    after = found.loss - best.nats.mean
    yield Fault(
        Verdict.ILL if lower > SURE * found.loss else Verdict.WATCH,
        f"positions are not those of its training: with {best.change} the loss falls from "
        f"{found.loss:.3g} to {after:.3g} nats",
        f"write it into its files: {best.change}",
    )


def _lower(gain: Gain) -> float:
    """What a change takes off the loss at least."""
    return gain.nats.low if gain.nats.low == gain.nats.low else 0.0  # NaN of one sequence


def _tried(found: Whereabouts) -> str:
    if found.loss is None:
        return "no text to score under other positions (--text)"
    return (
        f"none of {len(found.gains)} changes of positions lowers the loss of {found.loss:.3g} nats"
    )


WHEREABOUTS = Ailment(
    17,
    "positions are not those of training",
    "positions are those of training",
    "The model is told other positions, or turns by other frequencies, than it was trained with.",
    _whereabouts,
)
