"""Will keys that stand farther than any of training draw attention, by angles never seen?"""

from lightning_posenc.diagnose.ailments.base import (
    NOT_FINITE,
    Ailment,
    Finding,
    Remedy,
    healthy,
    is_trained,
    learned,
    may_blame,
    not_applicable,
    not_judged,
    watch,
)
from lightning_posenc.diagnose.bands import taken_beyond
from lightning_posenc.diagnose.examination import Examination

TAKEN = 0.55  # of the weights, .5 of heads to which distance is all one; docs/diagnose.md says why


def _draw(e: Examination) -> Finding:
    if not e.finite:
        return not_judged(NOT_FINITE)
    if not e.bands:
        turns = "transform" in e.hooks or not e.is_own
        return not_applicable(
            "nothing turns queries and keys by frequencies that are known"
            if turns
            else "nothing turns queries and keys"
        )
    unfinished = [each.unfinished.mean().item() for each in e.bands.values()]
    extent = max(each.extent for each in e.bands.values())
    shown = {"share_in_planes_that_finish_no_turn": unfinished}
    turning = (
        f"{sum(unfinished) / len(unfinished):.0%} of the logits' variance is in planes that finish "
        f"no turn within {extent:,} steps, the trained length"
    )
    taken = taken_beyond(e.bands)
    if taken is None:
        return not_judged(
            f"something other than fixed frequencies says how far a key is; {turning}", **shown
        )
    shown["share_that_keys_beyond_would_take"] = [
        each.beyond.of_layer.item() for each in e.bands.values() if each.beyond is not None
    ]
    said = (
        f"keys {extent:,} to {2 * extent:,} steps away would take {taken:.0%} of attention beside "
        f"those of the trained length (50%: as much as they); {turning}"
    )
    if is_trained(e) is False:
        return healthy(f"{said}; untrained, distances are all one to it", **shown)
    if e.is_own and not learned(e) and not may_blame(e):
        return not_judged(f"{said}; it has not learned the task yet: see 16", **shown)
    if taken < TAKEN:
        return healthy(said, **shown)
    return watch(
        f"{said}: it was never taught to leave them",
        *_remedies(e, extent),
        **shown,
    )


def _remedies(e: Examination, extent: int) -> tuple[Remedy, ...]:
    if not e.is_own:
        return (
            Remedy("", "`extend --hf … --to N` compares YaRN, a larger base and clipped "
                   "frequencies, and saves the best"),
        )  # fmt: skip
    scaling = "--model.positional=RoPE --model.positional.scaling="
    trained = f"--model.positional.scaling.trained_length={extent}"
    factor = "--model.positional.scaling.factor=4"
    return (
        Remedy(f"{scaling}Clipped {factor} {trained}", "planes that finish no turn fade out"),
        Remedy(
            f"{scaling}YaRN {factor} {trained}",
            "they are slowed down, to angles of training; train on at a longer length",
        ),
        Remedy(
            "--model.positional=RoPE --model.positional.base=10",
            "train with a base so low that all planes turn; one so high that the slow ones hardly "
            "move (1000000), and longer sequences at the end, is the other way",
        ),
    )


TURNS = Ailment(
    19,
    "distances beyond training draw attention",
    "distances beyond training draw little attention",
    "Longer sequences bring angles that training never showed, in planes that never turned once "
    "around above all; what looks right there takes the weights from what is.",
    _draw,
)
