"""A token that heads park on, and a few numbers that dwarf all others: sinks and outliers."""

from statistics import mean

from lightning_posenc.diagnose.ailments.base import (
    Ailment,
    Finding,
    Remedy,
    at_bound,
    healthy,
    ill,
    is_trained,
    may_blame,
    not_applicable,
    not_judged,
    unmeasured,
    unseen_attention,
    watch,
)
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.massive import in_float16

MASSIVE, LARGE = 1000.0, 100.0  # times the median, and in size: Sun et al. 2024
OVERFLOWS = 0.5  # of the largest number of float16: a sum of two is no number
SINK = 0.3  # weight on the first token that makes a head one that rests on it: Gu et al. 2024
OVER_UNIFORM = 2.0  # times the weight that a head without a preference has
UNREAD = 0.5  # size of its value over others'
MANY = 0.5  # of all heads
ALL, NEARLY_ALL = 0.9, 0.9  # of the heads, of the weight

_SINKS = Remedy("--model.encoder.mixer.sinks=true", "heads may attend to nothing: a learned sink")
_GATE = Remedy("--model.encoder.mixer=GatedAttention", "a token may take nothing from a head")


def _massive(e: Examination) -> Finding:
    if not e.largest:
        return not_judged("the states hold numbers that are not finite: see 9"
                          if not e.finite else "the residual stream was not seen")  # fmt: skip
    shown = {
        "largest_over_the_median": [each.ratio for each in e.largest],
        "largest": [each.size for each in e.largest],
        "its_position": [float(each.position) for each in e.largest],
        "its_channel": [float(each.channel) for each in e.largest],
        "its_token": [float(-1 if each.token is None else each.token) for each in e.largest],
    }
    depth, worst = max(enumerate(e.largest), key=lambda pair: pair[1].ratio)
    token = "" if worst.token is None else f", token id {worst.token}"
    said = (
        f"the largest activation is {worst.ratio:.3g} times the median and {worst.size:.3g} in "
        f"size (position {worst.position}{token}, channel {worst.channel}, after {depth} blocks)"
    )
    massive = [each for each in e.largest if each.ratio >= MASSIVE and each.size >= LARGE]
    if not massive:
        return healthy(said, **shown)
    remedies = (_SINKS, _GATE) if e.is_own else ()
    kept = Remedy("", "keep the stream in bfloat16 or float32, and leave these channels out of "
                      "quantisation")  # fmt: skip
    if max(in_float16(each.size) for each in massive) > OVERFLOWS:
        return ill(f"float16 would overflow: {said}", *remedies, kept, **shown)
    return watch(said, *remedies, kept, **shown)


def _rests(e: Examination) -> Finding:
    if "attn/sink_value" not in e.by_layer:
        if e.mixers and e.finite:
            return not_applicable(unseen_attention(e))
        return unmeasured(e, "attention was not seen")
    if e.grid is not None:
        return not_applicable("the first token is a class token or a patch")
    weights, values = e.by_layer["attn/sink"], e.by_layer["attn/sink_value"]
    least = max(SINK, OVER_UNIFORM * _uniform(e))
    resting = [
        [w >= least and v <= UNREAD for w, v in zip(*heads, strict=True)]
        for heads in zip(weights, values, strict=True)
    ]
    every = [head for heads in resting for head in heads]
    share = sum(every) / len(every)
    weight = mean(w for heads in weights for w in heads)
    shown = {
        "weight_on_the_first_token": [mean(heads) for heads in weights],
        "heads_that_rest_on_it": [float(sum(heads)) for heads in resting],
        "size_of_its_value_over_others": [mean(heads) for heads in values],
        "its_logit_above_the_mean": [mean(heads) for heads in e.by_layer["attn/sink_logit"]],
    }
    said = (
        f"{weight:.0%} of attention is on the first token; {sum(every)} of {len(every)} heads rest "
        f"on it (weight ≥ {least:.2f}, and a value at most {UNREAD:g} of others' in size)"
    )
    kept = Remedy("", "keep the first token: in windows and caches that forget, in prompts, and in "
                      "quantisation")  # fmt: skip
    remedies = (_SINKS, _GATE, kept) if e.is_own else (kept,)
    if share >= ALL and weight >= NEARLY_ALL and at_bound(e) and may_blame(e):
        return ill(f"heads read nothing: {said}", *remedies, **shown)
    if share >= MANY and is_trained(e) is not False:
        return watch(said, *remedies, **shown)
    return healthy(said, **shown)


def _uniform(e: Examination) -> float:
    """Weight on the first token of a head that looks at all keys alike."""
    if not e.causal:
        return 1 / e.length
    return sum(1 / n for n in range(1, e.length + 1)) / e.length


MASSIVE_ACTIVATIONS = Ailment(
    20,
    "massive activations",
    "activations of one size",
    "A few numbers decide what norms and half precision leave of all others.",
    _massive,
)
RESTS_ON_FIRST = Ailment(
    21,
    "attention rests on the first token",
    "attention has other places to be than the first token",
    "Heads park on a token that carries nothing, which a window, a cache or a prompt may lose.",
    _rests,
)
