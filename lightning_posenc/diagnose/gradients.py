"""Does training reach the encoding, and how far has it come?

Shapes: B sequences, T tokens, S keys, H heads, L layers.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.bounded_logits import bound_logits
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.diagnostics.measures.gradients import positional_gradients
from lightning_posenc.diagnostics.observing.hook_gradients import replaced
from lightning_posenc.positional import PositionalEncoding, Site
from lightning_posenc.positional.by_distance import written_out

N_BATCHES = 4  # whose gradients are held against each other
FAINT = 1e-3  # of the gradient in other parameters: then it is asked whether attention saturates


class Gradients(NamedTuple):
    """Gradients of the training loss, and what the encoding adds.

    Args:
        loss: The loss.
        parameters: Norm of the gradient of each positional parameter.
        contributions: Norms by channel (`CHANNELS`) and layer.
        residual: L + 1 norms of the gradient by the residual stream.
        share: L + 1 shares of its variance that position explains, in [0, 1].
        positional_rms: Root mean square of the gradient's entries over the positional parameters
            that are trained, those left out that no examined sequence uses; 0 if it reaches none,
            None if there are none.
        other_rms: The same over all other parameters.
        agreement: ‖mean gradient‖² / mean ‖gradient‖² over N_BATCHES batches for the positional
            parameters: 1 if all agree, 1/N_BATCHES if it is noise. None if there are none.
        strength: What the encoding adds, by channel and layer: `embed`, `values` and `output`
            relative to the size of what they change, `transform` relative to the spread of the
            logits without it, the others in logits. Standard deviation over the keys of a query,
            root mean square over queries.
        unsaturated: `positional_rms` with attention's logits bounded, where it is FAINT; else None.
            Much more of it says that the softmax is saturated, and not that the encoding is small.
        positions: Norm of the gradient by the positions, where it was taken through the angles of
            another package's rotary encoding.
        positions_sum: Its sum over the sum of its magnitudes: 0 where distances alone matter.
    """

    loss: float
    parameters: dict[str, float]
    contributions: dict[str, dict[int, float]]
    residual: list[float]
    share: list[float]
    positional_rms: float | None
    other_rms: float
    agreement: float | None
    strength: dict[str, dict[int, float]]
    unsaturated: float | None = None
    positions: float | None = None
    positions_sum: float | None = None


def measure_gradients(
    subject: OwnModel, largest: Sequence[Sequence[float]] | None = None
) -> Gradients:
    """Measure on the examined batch; no `.grad` is touched.

    Args:
        subject: The model and its data.
        largest: Largest logit of each head by layer, where attention was seen.
    """
    module = subject.module
    found = positional_gradients(module, subject.batch, with_positions=False)
    batches = subject.batches[:N_BATCHES]
    own = {id(parameter) for parameter in module.positional.parameters()}
    trained = [p for p in module.parameters() if p.requires_grad]
    ours = [p for p in subject.positional_parameters if p.requires_grad]
    others = [p for p in trained if id(p) not in own]
    flat = [_gradient(module, batch, [*ours, *others]) for batch in batches]
    mean = torch.stack(flat).mean(dim=0)
    n = sum(p.numel() for p in ours)
    squares = [float(each[:n].square().sum()) for each in flat]
    agreement = float(mean[:n].square().sum()) * len(flat) / sum(squares) if sum(squares) else None
    with torch.no_grad(), strengths(module.positional) as strength:
        module.logits(subject.batch)
    ours_rms, others_rms = (_rms(mean[:n]) if n else None), _rms(mean[n:])
    unsaturated = None
    if largest is not None and ours_rms is not None and ours_rms < FAINT * others_rms:
        handles = bound_logits(subject.encoder, largest)
        try:
            unsaturated = _rms(_gradient(module, batches[0], ours))
        finally:
            for handle in handles:
                handle.remove()
    return Gradients(
        loss=found.loss,
        parameters=found.parameters,
        contributions=found.contributions,
        residual=found.residual,
        share=found.share,
        positional_rms=ours_rms,
        other_rms=others_rms,
        agreement=agreement,
        strength=strength,
        unsaturated=unsaturated,
    )


def _gradient(module: Any, batch: Batch, parameters: Sequence[Tensor]) -> Tensor:
    if not parameters:  # all are frozen
        return torch.zeros(0)
    loss = module.score(batch, 0)[0]
    grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    pairs = zip(parameters, grads, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in pairs])


def _rms(x: Tensor) -> float:
    reached = x[x != 0].double()
    return float(reached.square().mean().sqrt()) if len(reached) else 0.0


@contextmanager
def strengths(encoding: PositionalEncoding) -> Iterator[dict[str, dict[int, float]]]:
    """Record what each hook adds while the model runs inside."""
    found: dict[str, dict[int, float]] = {}
    wrapped: dict[str, Callable[..., Any]] = {
        "embed": _embed,
        "transform": _transform,
        "bias": _bias,
        "rescore": _rescore,
        "values": _values,
        "output": _output,
    }
    causal = encoding.dims.causal
    with ExitStack() as stack:
        for name, wrap in wrapped.items():
            watch = partial(partial, wrap, causal, partial(_note, found, name))
            stack.enter_context(replaced(encoding, name, watch))
        yield found


def _note(found: dict[str, dict[int, float]], name: str, layer: int, value: float) -> None:
    found.setdefault(name, {})[layer] = value


Note = Callable[[int, float], None]


def _embed(
    causal: bool, note: Note, original: Any, x: Tensor, positions: Tensor, layer: int
) -> Any:
    out = original(x, positions, layer)
    _note_change(note, layer, x, out)
    return out


def _values(causal: bool, note: Note, original: Any, site: Site) -> Any:
    out = original(site)
    _note_change(note, site.layer, site.v, out)
    return out


def _output(causal: bool, note: Note, original: Any, site: Site, mixed: Tensor) -> Any:
    out = original(site, mixed)
    _note_change(note, site.layer, mixed, out)
    return out


def _note_change(note: Note, layer: int, before: Tensor, after: Tensor) -> None:
    """Root mean square of a change over that of what was changed, if there was one."""
    if after is before:
        return
    size = float(before.detach().float().square().mean().sqrt())
    before = before.repeat_interleave(after.shape[1] // before.shape[1], dim=1)
    added = float((after - before).detach().float().square().mean().sqrt())
    note(layer, added / size if size else math.inf)


def _transform(causal: bool, note: Note, original: Any, site: Site) -> Any:
    q, k = original(site)
    if q is not site.q or k is not site.k:
        plain = _logits(site.q, site.k)
        size, change = spread(plain, causal), spread(_logits(q, k) - plain, causal)
        note(site.layer, change / size if size else math.inf)
    return q, k


def _logits(q: Tensor, k: Tensor, n: int = 4) -> Tensor:
    """Of the first n sequences, in float32."""
    q, k = q[:n].float(), k[:n].float()
    return q @ k.repeat_interleave(q.shape[1] // k.shape[1], dim=1).transpose(-2, -1)


def _bias(causal: bool, note: Note, original: Any, site: Site) -> Any:
    out = original(site)
    if out is not None:
        note(site.layer, spread(written_out(out).detach().float(), causal))
    return out


def _rescore(causal: bool, note: Note, original: Any, site: Site) -> Any:
    if (inner := original(site)) is None:
        return None

    def rescore(logits: Tensor) -> Tensor:
        out: Tensor = inner(logits)
        seen = logits.isfinite() & out.isfinite()
        note(site.layer, spread(torch.where(seen, out - logits, 0.0).detach().float(), causal))
        return out

    return rescore


def spread(added: Tensor, causal: bool) -> float:
    """Standard deviation over visible keys of (…, T, S), root mean square over all else."""
    seen = torch.ones(added.shape[-2:], dtype=torch.bool, device=added.device)
    if causal:
        seen = seen.tril(added.shape[-1] - added.shape[-2])
    n = seen.sum(dim=-1, keepdim=True)
    mean = (added * seen).sum(dim=-1, keepdim=True) / n
    variance = ((added - mean) * seen).square().sum(dim=-1, keepdim=True) / n
    return float(variance.mean().sqrt())
