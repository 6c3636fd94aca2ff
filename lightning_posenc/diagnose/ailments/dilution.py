"""Does attention that found its key at the trained length spread over longer sequences?"""

from lightning_posenc.diagnose.ailments.base import (
    HEALED,
    Ailment,
    Finding,
    Remedy,
    healthy,
    ill,
    is_trained,
    learned,
    not_applicable,
    not_judged,
    unmeasured,
    unseen_attention,
    watch,
)
from lightning_posenc.diagnose.examination import Examination

GAINED = 0.05  # accuracy that larger logits must give back; docs/diagnose.md says where it is from
CERTAIN = 3  # standard errors


def _dilutes(e: Examination) -> Finding:
    found = e.dilution
    if found is None:
        if e.mixers and "attn/entropy" not in e.by_layer and e.finite:
            return not_applicable(unseen_attention(e))
        return unmeasured(e, "attention was not seen at two lengths")
    slopes = [value for heads in found.slopes for value in heads]
    if any(value != value for value in slopes):
        return not_applicable("a query sees no more keys in longer sequences")
    shown = {
        "largest_slope_of_entropy": [max(heads) for heads in found.slopes],
        "weight_of_the_best_key": [max(heads) for heads in found.best],
        "of_which_is_left": [min(heads) for heads in found.kept],
    }
    least, most = found.lengths[0], found.lengths[-1]
    said = (
        f"from {least} to {most} tokens the entropy of a head grows by {min(slopes):.2f} to "
        f"{max(slopes):.2f} of what uniform attention's does"
    )
    if not e.is_own:
        return healthy(said, **shown)
    if is_trained(e) is False or not learned(e):
        return not_judged(f"{said}; it has not learned the task yet: see 16", **shown)
    reached = e.lengths.accuracy.get(e.lengths.trained, 0.0)
    for length, (factor, before, after) in found.sharpened.items():
        gained = after.accuracy - before.accuracy
        least_gain = max(
            GAINED, HEALED * (reached - before.accuracy), CERTAIN * max(after.error, before.error)
        )
        if gained < least_gain:
            continue
        judged = ill if length in e.lengths.asked else watch
        return judged(
            f"at length {length} the accuracy is {before.accuracy:.2f}, and {after.accuracy:.2f} "
            f"with logits {factor:.2g} times as large: {said}",
            *_remedies(e),
            **shown,
        )
    if found.sharpened:
        said += (
            f"; larger logits do not undo the fall from length {min(found.sharpened)} on, see 11"
        )
    return healthy(said, **shown)


def _remedies(e: Examination) -> tuple[Remedy, ...]:
    beside = e.encoding if e.encoding in _BARE else "RoPE"
    trained = max(2, e.length)  # L of LogN, which does nothing before it
    log_n = f"{{class_path: LogN, init_args: {{trained_length: {trained}}}}}"
    chain = "--model.positional=Chain"
    return (
        Remedy(
            f"{chain} --model.positional.parts=[{beside},SSMax]",
            "queries times s·ln n, with an s for each head that is learned",
        ),
        Remedy(
            f"{chain} '--model.positional.parts=[{beside},{log_n}]'",
            f"queries times ln n / ln L past L = {trained} tokens, nothing learned",
        ),
    )


_BARE = ("RoPE", "ALiBi", "NoPE", "T5Bias", "KERPLELog", "FIRE")  # that want no options

DILUTES_WITH_LENGTH = Ailment(
    22,
    "attention dilutes with length",
    "attention finds its keys at any length",
    "The weight of the right key shrinks as others join it, so that longer sequences are read as a "
    "mean of everything.",
    _dilutes,
)
