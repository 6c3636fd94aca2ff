"""Is the position signal there, does it last, can it adapt?"""

from lightning_posenc.diagnose.ailments.base import (
    NOT_FINITE,
    Ailment,
    Finding,
    Remedy,
    accuracy,
    at_bound,
    fallen,
    healing,
    healthy,
    ill,
    is_trained,
    may_blame,
    not_applicable,
    not_judged,
    unmeasured,
    watch,
)
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnostics.thresholds import ORDER_ILL, ORDER_WATCH

# Error of the probe over T; chance is 0.25. docs/diagnose.md says how each was chosen.
READABLE = 0.08  # position can be read where it enters
FADED_WATCH = 0.12
FADED_ILL = 0.20

# Change of the outputs under a shuffle over their spread; about 1.4 where order is everything.
BLIND = 2e-6  # no more than rounding, which makes 2e-7; RoPE at initialisation makes 2e-5

# What an encoding adds: to the stream, values or outputs, over their size; by turning, over the
# logits' spread; to logits, in logits.
WEAK = {
    "embed": 0.05,
    "transform": 0.05,
    "bias": 0.3,
    "rescore": 0.15,
    "values": 0.05,
    "output": 0.05,
}


def too_weak(examination: Examination) -> bool:
    """Whether all that the encoding adds is too little to be noticed, in every layer."""
    found = examination.gradients
    if found is None or not found.strength:
        return False
    return all(
        value < WEAK[channel]
        for channel, layers in found.strength.items()
        for value in layers.values()
    )


def probe_error(examination: Examination) -> list[float]:
    """Error of a probe of position over T, by blocks passed: 0 exact, 0.25 chance.

    On a grid the mean of that of rows over their number, and that of columns likewise.
    """
    if examination.grid is not None and "probe/row" in examination.by_layer:
        errors = (examination.by_layer[f"probe/{axis}"] for axis in ("row", "column"))
        rows, columns = examination.grid
        return [(a / rows + b / columns) / 2 for a, b in zip(*errors, strict=True)]
    return [error / examination.length for error in examination.by_layer.get("probe/mae", [])]


def strength_by_layer(examination: Examination) -> dict[str, list[float]]:
    """What the encoding adds, as lists by layer."""
    found = examination.gradients
    if found is None:
        return {}
    return {
        f"added by {channel}": [layers.get(layer, 0.0) for layer in range(examination.n_layers)]
        for channel, layers in found.strength.items()
    }


def _fades(e: Examination) -> Finding:
    probe = probe_error(e)
    if not probe:
        return unmeasured(e, "the residual stream was not seen, or too few sequences were")
    shown = {
        "probe_error_over_T": probe,
        "positional_share": e.by_layer["pos_share"],
    }
    if probe[0] > READABLE:
        where = "none enters there"
        if e.attends_by_position:
            where = "it reaches attention directly"
        elif "embed" in e.hooks:
            where = "what is added there is too weak to be read"
        return not_applicable(
            f"position does not enter through the residual stream (probe error {probe[0]:.2f} T "
            f"before the first block); {where}: see 10"
        )
    last = probe[-2]  # what the last block's attention can read
    said = (
        f"a linear probe reads positions to within {probe[0]:.3f} T where they enter and to within "
        f"{last:.3f} T before the last block (chance: 0.25 T)"
    )
    everywhere = "[" + ",".join(map(str, range(e.n_layers))) + "]"
    again = Remedy(f"--model.positional.layers={everywhere}", "add positions again in each layer")
    remedies = (
        *((again,) if "layers" in e.options else ()),
        Remedy("--model.positional=RoPE", "positions in every layer's queries and keys"),
        Remedy("--model.positional=ALiBi", "positions in every layer's logits"),
    )
    if last >= FADED_ILL:
        return ill(said, *remedies, **shown)
    if last >= FADED_WATCH:
        return watch(said, *remedies, **shown)
    return healthy(said, **shown)


def _cannot_adapt(e: Examination) -> Finding:
    if e.positional is None:
        return not_judged(f"which parameters are positional is not known: {e.hidden_positions}")
    if e.is_own and not e.hooks:
        return not_applicable("there is no encoding: see 10")
    if e.trainable:
        return not_applicable(f"{e.trainable:,} positional parameters are trained")
    remedies = (
        *(
            (Remedy(f"--model.positional={e.encoding}", "train the table: do not freeze it"),)
            if e.positional
            else ()
        ),
        Remedy("--model.positional=LearnableFrequencies", "sinusoids of learned frequencies"),
        Remedy("--model.positional=LearnedRoPE", "a rotation of learned frequencies"),
        Remedy("--model.positional=FIRE", "a learned function of distance, for any length"),
    )
    what = "frozen" if e.positional else "fixed"
    shown = strength_by_layer(e)
    if too_weak(e) and is_trained(e) is not False:
        return ill(
            f"the encoding is {what}, and what it adds is too little to be noticed: the model "
            "cannot make it stronger",
            *remedies,
            **shown,
        )
    if at_bound(e) and may_blame(e) and not fallen(e) and healing(e) is None:
        return watch(
            f"the encoding is {what}, and the accuracy of {accuracy(e):.2f} is no better than "
            f"without order ({e.lengths.bound:.2f}): this encoding may not suit the data",
            *remedies,
            **shown,
        )
    return healthy(f"the encoding is {what}, and nothing says that it would have to adapt", **shown)


def _ignores_order(e: Examination) -> Finding:
    change, states = e.order.outputs, e.order.states
    shown = {"change_when_shuffled": states}
    said = f"shuffling the tokens changes the outputs by {change:.2g} of their spread"
    remedies = (
        Remedy("--model.positional=LearnedAbsolute", "a vector for each position, learned"),
        Remedy("--model.positional=RoPE", "relative positions in every layer"),
    )
    if e.lengths.bound is not None and e.lengths.bound >= 1:
        return not_applicable("the data can be solved without order")
    if not e.finite:
        return not_judged(NOT_FINITE)
    if max([change, *states]) < BLIND:
        return ill(f"{said}: the model is blind to order", *remedies, **shown)
    if is_trained(e) is False:
        return healthy(f"{said}; untrained, it need not be more", **shown)
    if not may_blame(e):
        return not_judged(f"{said}; it has not learned the task yet: see 16", **shown)
    if change < ORDER_ILL and is_trained(e):
        return ill(said, *remedies, **shown)
    if change < ORDER_WATCH:
        return watch(said, *remedies, **shown)
    return healthy(said, **shown)


FADES = Ailment(
    1,
    "position signal fades with depth",
    "position signal survives depth",
    "Deep layers can no longer tell where a token stands, though shallow ones could.",
    _fades,
)
CANNOT_ADAPT = Ailment(
    2,
    "fixed encoding cannot adapt",
    "encoding suits the data as it is",
    "Nothing in the encoding is trained, and as it is, it does not serve this data.",
    _cannot_adapt,
)
IGNORES_ORDER = Ailment(
    10,
    "model ignores order",
    "model reads order",
    "The same tokens in another order give the same answer.",
    _ignores_order,
)
