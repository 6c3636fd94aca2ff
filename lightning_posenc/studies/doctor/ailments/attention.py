"""What attention looks like: alike in every layer, collapsed, uniform."""

from statistics import mean

from lightning_posenc.studies.doctor.ailments.base import (
    Ailment,
    Finding,
    Remedy,
    at_bound,
    healthy,
    ill,
    is_trained,
    not_applicable,
    not_judged,
    watch,
)
from lightning_posenc.studies.doctor.examination import Examination

ALIKE_WATCH = 0.95  # similarity of neighbouring layers, everywhere
ALIKE_ILL = 0.99
UNIFORM = 0.98  # normalised entropy
COLLAPSED = 0.1
LOGIT_WATCH = 60.0  # largest logit
LOGIT_ILL = 100.0

_QK_NORM = Remedy("--model.encoder.qk_norm=true", "logits stay bounded")
_SIGMA = Remedy("--model.encoder.sigma_reparam=true", "weights of a learned spectral norm")


def _alike(e: Examination) -> Finding:
    if e.attention is None:
        return not_judged("attention was not seen")
    if e.n_layers < 2:
        return not_applicable("there is one layer")
    similarity = e.attention.similarity
    shown = {"similarity_to_the_next_layer": similarity}
    uniform = [mean(heads) >= UNIFORM for heads in e.attention.normalised_entropy]
    if all(uniform):
        return not_judged("attention is uniform in every layer, and so alike: see 7", **shown)
    least = min(similarity)
    said = f"neighbouring layers attend alike to {least:.2f} at least (1: the same)"
    remedies = (
        *(
            (Remedy("--model.positional.shared=false", "each layer its own table"),)
            if "shared" in e.options
            else ()
        ),
        Remedy(
            "--model.positional=PerLayer --model.positional.pattern=[RoPE,NoPE]",
            "some layers attend by place, the others by content alone",
        ),
        Remedy(
            "--model.positional=T5Bias --model.positional.shared=false", "each layer its own table"
        ),
    )
    if is_trained(e) is False:
        return healthy(f"{said}; untrained, they may be", **shown)
    if least >= ALIKE_ILL and e.n_layers > 2 and is_trained(e):
        return ill(said, *remedies, **shown)
    if least >= ALIKE_WATCH and e.n_layers > 2:
        return watch(said, *remedies, **shown)
    return healthy(said, **shown)


def _entropy(e: Examination) -> Finding:
    if e.attention is None:
        return not_judged("attention was not seen")
    entropy = [mean(heads) for heads in e.attention.normalised_entropy]
    logits = [max(heads) for heads in e.attention.max_logit]
    shown = {"normalised_entropy": entropy, "largest_logit": logits}
    said = (
        f"attention's entropy is {min(entropy):.2f}–{max(entropy):.2f} of the greatest possible, "
        f"the largest logit {max(logits):.3g}"
    )
    collapsed = [h < COLLAPSED and top > LOGIT_ILL for h, top in zip(entropy, logits, strict=True)]
    if any(collapsed):
        return ill(f"collapsed: {said}", _QK_NORM, _SIGMA, **shown)
    if max(logits) > LOGIT_WATCH:
        return watch(said, _QK_NORM, _SIGMA, **shown)
    if min(entropy) >= UNIFORM and is_trained(e):
        found = ill if at_bound(e) else watch
        return found(f"uniform: {said}", _QK_NORM, **shown)
    return healthy(said, **shown)


ALIKE = Ailment(
    3,
    "attention alike across layers",
    "Further layers repeat what earlier ones looked at, so depth is wasted.",
    _alike,
)
ENTROPY = Ailment(
    7,
    "attention's entropy collapsed or uniform",
    "A query looks at one key whatever the content and no gradient gets through the softmax, "
    "or it looks at all keys alike.",
    _entropy,
)
