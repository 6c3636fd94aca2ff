"""Numbers' precision, time and memory."""

from lightning_posenc.diagnose.ailments.base import (
    Ailment,
    Finding,
    Remedy,
    healthy,
    ill,
    not_judged,
    unseen_attention,
    watch,
)
from lightning_posenc.diagnose.examination import Examination

ERROR_WATCH = 0.1  # change in bfloat16 over what the encoding adds
ERROR_ILL = 0.3
GIGABYTE = 2**30
_KEEP = Remedy("", "hand dtype to from_pretrained, which keeps frequencies in float32")
MEMORY_WATCH = 1 * GIGABYTE
MEMORY_ILL = 8 * GIGABYTE


def _precision(e: Examination) -> Finding:
    found = e.precision
    if found is None:
        return not_judged(f"the precision of its positions cannot be seen: {e.hidden_positions}")
    said = f"positions are {found.dtype}: {found.distinct:.0%} of {found.tokens} stay distinct"
    if found.error is not None:
        cast = "by rounded weights" if found.half_weights else "if cast to bfloat16"
        if not e.is_own:
            cast = "as it is loaded, of what its config asks for"
        said += f"; {cast}, the encoding is off by {found.error:.2g} of its size at most"
    remedies = (
        Remedy("--model.positions=Consecutive", "positions are whole numbers"),
        Remedy("--trainer.precision=bf16-mixed", "weights stay in float32"),
        *(() if e.is_own else (_KEEP,)),
    )
    error = found.error or 0.0
    if (found.half_weights or not e.is_own) and error > ERROR_ILL:
        return ill(said, *remedies)
    if error > ERROR_WATCH:  # learned frequencies, above all: keep them in float32
        return watch(said, *remedies)
    return healthy(said)


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _cost(e: Examination) -> Finding:
    cost = e.cost
    times = ", ".join(f"{_time(s)} at {n} tokens" for n, s in cost.seconds.items())
    growth = "" if cost.exponent is None else f", growing as T^{cost.exponent:.1f}"
    path = f"attention is {cost.path}" if cost.path else unseen_attention(e)
    said = f"{path}; a step of up to 8 sequences takes {times}{growth}"
    if cost.matrices:
        said += (
            f"; {cost.matrices / GIGABYTE:.2g} GiB of attention matrices at {e.length} tokens x "
            f"{cost.sequences} sequences"
        )
    remedies = (
        Remedy("--model.checkpoint_activations=true", "keep one layer's matrices at once"),
        Remedy("--model.positional=RoPE", "no matrix but the fused kernel's own"),
    )
    if cost.matrices > MEMORY_ILL:
        return ill(said, *remedies)
    if cost.matrices > MEMORY_WATCH:
        return watch(said, *remedies)
    return healthy(said)


PRECISION = Ailment(
    12,
    "positions lose precision",
    "positions keep their precision",
    "Different positions become the same number, or angles are wrong.",
    _precision,
)
COST = Ailment(
    13,
    "cost grows too fast",
    "cost grows as it should",
    "Attention's matrices are kept in memory, so that long sequences do not fit.",
    _cost,
)
