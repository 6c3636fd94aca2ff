"""Will a rotation meet angles, past the trained length, that training never showed?"""

from lightning_posenc.diagnose.ailments.base import (
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
from lightning_posenc.diagnose.examination import Examination

UNFINISHED = 0.25  # of the logits' variance; docs/diagnose.md says where it is from


def _unfinished(e: Examination) -> Finding:
    if not e.finite:
        return not_judged("the states hold numbers that are not finite: see 9")
    if not e.bands:
        turns = "transform" in e.hooks or not e.is_own
        return not_applicable(
            "nothing turns queries and keys by frequencies that are known"
            if turns
            else "nothing turns queries and keys"
        )
    by_layer = [each.unfinished.mean().item() for each in e.bands.values()]
    share = sum(by_layer) / len(by_layer)
    extent = max(each.extent for each in e.bands.values())
    shown = {"share_in_planes_that_finish_no_turn": by_layer}
    said = (
        f"{share:.0%} of the logits' variance is in planes that finish no turn within {extent:,} "
        "steps, the trained length"
    )
    if is_trained(e) is False:
        return healthy(f"{said}; untrained, planes are used alike", **shown)
    if e.is_own and not learned(e) and not may_blame(e):
        return not_judged(f"{said}; it has learned nothing yet: see 16", **shown)
    if share < UNFINISHED:
        return healthy(said, **shown)
    return watch(
        f"{said}: longer sequences bring angles that it has not seen",
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
    "turns unfinished",
    "turns are finished where it counts",
    "Planes that never turned once around in training come to new angles on longer sequences.",
    _unfinished,
)
