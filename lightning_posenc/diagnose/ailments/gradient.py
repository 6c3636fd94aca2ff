"""Does training reach the encoding?"""

import math

from lightning_posenc.diagnose.ailments.base import (
    NOT_FINITE,
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
    watch,
)
from lightning_posenc.diagnose.ailments.signal import (
    ORDER_ILL,
    strength_by_layer,
    too_weak,
)
from lightning_posenc.diagnose.bounded_logits import BOUND
from lightning_posenc.diagnose.examination import Examination

# The gradient's size in an entry of the positional parameters over that in any other.
DEAD = 1e-6
SATURATED = 1e2  # times as much gradient with attention's logits bounded
EXPLODES_WATCH = 1e2
EXPLODES_ILL = 1e4


def _gradient(e: Examination) -> Finding:
    found = e.gradients
    if e.positional is None:
        return not_judged(f"which parameters are positional is not known: {e.hidden_positions}")
    if not e.finite:
        return not_judged(NOT_FINITE)
    if found is None and not e.is_own:
        return not_judged("there is no loss to take a gradient of: no text, or no head that scores")
    if found is None:
        return ill("the loss is not a finite number", *_calmer())
    if found.positional_rms is None:
        why = "are frozen: see 2" if e.positional else "are none"
        said = f"positional parameters that could be trained: there {why}"
        if found.positions is not None:
            said += (
                f"; the gradient by the positions has a norm of {found.positions:.2g} and a sum of "
                f"{found.positions_sum:.2g} of its size (0: distances alone matter)"
            )
        return not_applicable(said)
    ratio = found.positional_rms / found.other_rms if found.other_rms else math.nan
    shown = {
        **{f"gradient by {channel}": [layers.get(i, 0.0) for i in range(e.n_layers)]
           for channel, layers in found.contributions.items()},
        **strength_by_layer(e),
    }  # fmt: skip
    agree = "" if found.agreement is None else f", batches agree on it to {found.agreement:.2f}"
    said = f"the gradient in a positional parameter is {ratio:.2g} times that in any other{agree}"
    if not math.isfinite(ratio):
        return ill(f"{said}: not a finite number", *_calmer(), **shown)
    if ratio > EXPLODES_ILL:
        return ill(f"explodes: {said}", *_calmer(), **shown)
    if found.unsaturated is not None and found.positional_rms < found.unsaturated / SATURATED:
        times = found.unsaturated / max(found.positional_rms, 1e-30)
        because = (
            f"attention is saturated: with its logits bounded at {BOUND:g} that is {times:.2g} "
            "times as much"
        )
        verdict = ill if ratio < DEAD else watch
        return verdict(f"{said}; {because}", *_unsaturated(), **shown)
    if ratio < DEAD:
        return ill(f"dead: {said}", *_stronger(e), **shown)
    starved = too_weak(e) and e.order.outputs < ORDER_ILL
    if starved and is_trained(e) and may_blame(e) and (at_bound(e) or e.lengths.bound is None):
        most = max(value for layers in found.strength.values() for value in layers.values())
        return ill(
            f"starved: after {e.steps} steps the encoding adds {most:.2g} at most, too little to "
            f"be noticed; {said}",
            *_stronger(e),
            **shown,
        )
    if starved and is_trained(e) is False and e.positional:
        return watch(
            f"the encoding starts so weak that training may not find it; {said}",
            *_stronger(e),
            **shown,
        )
    if ratio > EXPLODES_WATCH:
        return watch(said, *_calmer(), **shown)
    return healthy(said, **shown)


def _stronger(e: Examination) -> tuple[Remedy, ...]:
    std = e.options.get("std", math.nan)
    default = "null" if std is None else std
    start = Remedy(f"--model.positional.std={default}", "start the table at this encoding's scale")
    return (
        *((start,) if "std" in e.options else ()),
        Remedy("--model.positional_lr_multiplier=10", "positional parameters learn faster"),
    )


def _unsaturated() -> tuple[Remedy, ...]:
    return (
        Remedy("--model.encoder.mixer.qk_norm=torch.nn.LayerNorm", "logits stay bounded"),
        Remedy("--model.positional_lr_multiplier=0.1", "positional parameters learn slower"),
    )


def _calmer() -> tuple[Remedy, ...]:
    return (
        Remedy("--model.positional_lr_multiplier=0.1", "positional parameters learn slower"),
        Remedy("--model.positional_warmup_steps=100", "their rate rises from 0"),
        Remedy("--trainer.gradient_clip_val=1.0", "no step is larger than that"),
    )


GRADIENT = Ailment(
    6,
    "gradient through positions vanishes or explodes",
    "gradient through positions in range",
    "Training hardly reaches the encoding, or throws it about: it does not learn what order means.",
    _gradient,
)
