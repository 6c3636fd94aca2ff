"""Do states stay apart, and of a size, with depth?"""

import itertools
import math

from lightning_posenc.diagnose.ailments.base import (
    Ailment,
    Finding,
    Remedy,
    healthy,
    ill,
    not_judged,
    unmeasured,
    watch,
)
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnostics.thresholds import RANK_ILL, RANK_WATCH

STEP_WATCH = 6.0  # growth of the stream in one block
STEP_ILL = 12.0
GROWTH_WATCH = 30.0  # from the first block to the last
GROWTH_ILL = 100.0
GRADIENT_WATCH = 1e3  # of the greatest gradient by depth over the least
GRADIENT_ILL = 1e5
SMALL = 1.0  # a stream that starts smaller may grow to this: embeddings of std 0.02 are usual


def _rank(e: Examination) -> Finding:
    if not e.sizes:
        return unmeasured(e, "the residual stream was not seen")
    ratio = e.by_layer["rank/residual"]
    shown = {
        "residual_ratio": ratio,
        "cosine_of_two_tokens": e.by_layer["rank/cosine"],
        "effective_rank": e.by_layer["rank/effective"],
    }
    least = min(ratio[:-1])  # what a block reads; after the last one, a pooled model needs no more
    said = (
        f"of what a block reads, at least {least:.3f} is a token's own and not common to all "
        "tokens (0: all tokens are the same)"
    )
    remedies = (
        Remedy("--model.encoder.residual=LayerScale", "the stream stays ahead of what mixes it"),
        Remedy("--model.encoder.residual=ReZero", "every layer starts as the identity"),
        Remedy(
            "--model.encoder.residual.pre_norm=true", "the stream runs through, untouched by norms"
        ),
    )
    if least < RANK_ILL:
        return ill(said, *remedies, **shown)
    if least < RANK_WATCH:
        return watch(said, *remedies, **shown)
    return healthy(said, **shown)


def _unstable(e: Examination) -> Finding:
    remedies = (
        *(
            (Remedy("--model.encoder.residual.pre_norm=true", "norms before the branches"),)
            if e.pre_norm is False
            else ()
        ),
        Remedy("--model.encoder.residual=LayerScale", "branches start small"),
        Remedy("--model.encoder.residual=ReZero", "the stack starts as the identity"),
        Remedy("--trainer.gradient_clip_val=1.0", "no step is larger than that"),
    )
    if not e.finite:
        return ill("the states hold numbers that are not finite", *remedies)
    if not e.sizes:
        return not_judged("the residual stream was not seen")
    size = e.sizes
    steps = [b / max(a, SMALL) for a, b in itertools.pairwise(size)]
    growth = size[-1] / max(size[0], SMALL)
    gradient = e.gradients.residual if e.gradients else []
    seen = [g for g in gradient if g > 0 and math.isfinite(g)]
    spread = max(seen) / min(seen) if seen else 1.0
    shown = {"size_of_the_stream": size, "gradient": gradient} if gradient else {"size": size}
    said = (
        f"the stream grows {growth:.3g} times over all, {max(steps):.3g} times in one block at "
        "most; "
    ) + (
        f"the largest gradient of a layer is {spread:.3g} times the smallest"
        if seen
        else "no gradient was taken"
    )
    if max(steps) > STEP_ILL or growth > GROWTH_ILL or spread > GRADIENT_ILL:
        return ill(said, *remedies, **shown)
    if max(steps) > STEP_WATCH or growth > GROWTH_WATCH or spread > GRADIENT_WATCH:
        return watch(said, *remedies, **shown)
    return healthy(said, **shown)


RANK = Ailment(
    8,
    "rank collapse",
    "tokens stay distinct",
    "All tokens of a sequence come to have the same state, and nothing tells them apart again.",
    _rank,
)
UNSTABLE = Ailment(
    9,
    "unstable depth",
    "stable depth",
    "The stream or its gradient grows or shrinks from block to block, so training diverges or "
    "some blocks learn nothing.",
    _unstable,
)
