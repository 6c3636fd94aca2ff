"""What attention looks like: alike in every layer, collapsed, uniform."""

from statistics import mean

from lightning_posenc.diagnose.ailments.base import (
    Ailment,
    Finding,
    Remedy,
    at_bound,
    fallen,
    healing,
    healthy,
    ill,
    is_trained,
    learned,
    may_blame,
    not_applicable,
    not_judged,
    unmeasured,
    unseen_attention,
    watch,
)
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.treatments import LOGITS

ALIKE_WATCH = 0.95  # similarity of neighbouring layers, everywhere
ALIKE_ILL = 0.99
UNIFORM = 0.98  # normalised entropy
COLLAPSED = 0.1
LOGIT_WATCH = 60.0  # largest logit
LOGIT_ILL = 100.0
ENTROPY_OF = "attn/normalised_entropy"
MANY = 0.25  # of the heads of a layer: one of four

_QK_NORM = Remedy("--model.encoder.mixer.qk_norm=torch.nn.LayerNorm", "logits stay bounded")
_QK_CLIP = Remedy(
    "--trainer.callbacks+=QKClip",
    "heads whose logits exceed 100 get smaller projections after each step, the others stay",
)
_SIGMA = Remedy("--model.encoder.sigma_reparam=true", "weights of a learned spectral norm")


def _unseen(e: Examination) -> Finding:
    """What is said where no layer told by which weights it mixes."""
    if e.mixers and e.finite:
        return not_applicable(unseen_attention(e))
    return unmeasured(e, "attention was not seen")


def _alike(e: Examination) -> Finding:
    if ENTROPY_OF not in e.by_layer:
        return _unseen(e)
    if e.n_layers < 2:
        return not_applicable("there is one layer")
    similarity = e.by_layer["attn/similarity"]
    shown = {"similarity_to_the_next_layer": similarity}
    uniform = [mean(heads) >= UNIFORM for heads in e.by_layer[ENTROPY_OF]]
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
    if learned(e) and not fallen(e):
        return healthy(f"{said}, and the task is learned all the same", **shown)
    if not may_blame(e):
        return not_judged(f"{said}; it has not learned the task yet: see 16", **shown)
    if least >= ALIKE_ILL and e.n_layers > 2 and is_trained(e):
        return ill(said, *remedies, **shown)
    if least >= ALIKE_WATCH and e.n_layers > 2:
        return watch(said, *remedies, **shown)
    return healthy(said, **shown)


def is_uniform(e: Examination) -> bool:
    """Whether every head of every layer looks at all that it sees alike."""
    by_head = e.by_layer.get(ENTROPY_OF, [])
    return bool(by_head) and min(value for heads in by_head for value in heads) >= UNIFORM


def _entropy(e: Examination) -> Finding:
    if ENTROPY_OF not in e.by_layer:
        return _unseen(e)
    by_head, logits = e.by_layer[ENTROPY_OF], e.by_layer["attn/max_logit"]
    entropy = [value for heads in by_head for value in heads]
    largest = max(value for heads in logits for value in heads)
    collapsed = [
        [share < COLLAPSED and top > LOGIT_ILL for share, top in zip(*heads, strict=True)]
        for heads in zip(by_head, logits, strict=True)
    ]
    shown = {
        "normalised_entropy": [mean(heads) for heads in by_head],
        "least_of_a_head": [min(heads) for heads in by_head],
        "largest_logit": [max(heads) for heads in logits],
        "collapsed_heads": [float(sum(heads)) for heads in collapsed],
    }
    said = (
        f"the entropy of a head's attention is {min(entropy):.2f}–{max(entropy):.2f} of the "
        f"greatest possible, the largest logit {largest:.3g}"
    )
    n = sum(map(sum, collapsed))
    if n and max(sum(heads) / len(heads) for heads in collapsed) >= MANY:
        said = f"{n} of {len(entropy)} heads are collapsed: {said}"
        return ill(said, _QK_NORM, _QK_CLIP, _SIGMA, **shown)
    best = healing(e)
    if best is not None and best.fault == LOGITS:
        return ill(
            f"logits are of a wrong size: with {best.name} the accuracy is "
            f"{best.score.accuracy:.3f}; {said}",
            _QK_NORM,
            **shown,
        )
    if largest > LOGIT_WATCH:
        return watch(said, _QK_NORM, _QK_CLIP, _SIGMA, **shown)
    if is_uniform(e) and is_trained(e):
        found = ill if at_bound(e) and may_blame(e) else watch
        return found(f"uniform: {said}", _QK_NORM, **shown)
    return healthy(said, **shown)


ALIKE = Ailment(
    3,
    "attention alike across layers",
    "no harm in how alike layers attend",
    "Further layers repeat what earlier ones looked at, so depth is wasted.",
    _alike,
)
ENTROPY = Ailment(
    7,
    "attention's entropy collapsed or uniform",
    "attention's entropy in range",
    "A query looks at one key whatever the content and no gradient gets through the softmax, "
    "or it looks at all keys alike.",
    _entropy,
)
