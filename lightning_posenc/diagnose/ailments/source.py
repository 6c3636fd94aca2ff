"""Does a decoder read the sequence that it answers?"""

from lightning_posenc.diagnose.ailments.base import (
    NOT_FINITE,
    Ailment,
    Finding,
    Remedy,
    healthy,
    ill,
    is_trained,
    may_blame,
    not_applicable,
    not_judged,
)
from lightning_posenc.diagnose.examination import Examination

# Change of the outputs, over their spread, when each answer is told another's source.
UNREAD = 2e-6  # no more than rounding
HARDLY_READ = 0.05  # docs/diagnose.md says where it is from


def _ignores_source(e: Examination) -> Finding:
    found = e.source
    if found is None:
        return not_applicable("there is no second sequence to read")
    if not e.finite:
        return not_judged(NOT_FINITE)
    shown = {
        f"{name}_of_cross-attention": [
            getattr(layer, name).mean().item() for layer in found.by_layer
        ]
        for name in ("entropy", "monotonicity", "coverage")
    }
    said = f"another sequence's source changes the outputs by {found.swapped:.2g} of their spread"
    remedies = (
        Remedy("", "see whether answers can be told without their sources, and whether gradients "
               "reach cross-attention and the encoder"),
    )  # fmt: skip
    if found.swapped < UNREAD:
        return ill(f"{said}: the source is not read", *remedies, **shown)
    if is_trained(e) is False:
        return healthy(f"{said}; untrained, it need not be more", **shown)
    if not may_blame(e):
        return not_judged(f"{said}; it has not learned the task yet: see 16", **shown)
    if found.swapped < HARDLY_READ:
        return ill(said, *remedies, **shown)
    return healthy(said, **shown)


IGNORES_SOURCE = Ailment(
    18,
    "decoder ignores its source",
    "decoder reads its source",
    "The answer is written as if nothing, or something else, had been asked.",
    _ignores_source,
)
