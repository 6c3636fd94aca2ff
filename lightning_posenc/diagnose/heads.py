"""What is each head for, and what does the model lose without it?

Shapes: B sequences, H heads, T tokens, V channels of a head's values.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch, are_ids
from lightning_posenc.diagnose.leaks import placed
from lightning_posenc.diagnose.subject import OtherModel, OwnModel, Subject
from lightning_posenc.diagnostics.measures.head_types import HeadScores, head_scores
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.model.kernels import Kernels, Operands

N_SEQUENCES = 16
MOST_TOKENS = 512  # of a sequence
N_OTHER, MOST_OTHER = 4, 128  # the same of another package's model
MOST_ABLATED = 48  # heads, the ones with the highest scores
TYPED = 0.4  # score from which on a head is called by it; docs/diagnose.md says where it is from
CLOSE = 0.1  # below the highest score: of those, the first of KINDS names the head

PREVIOUS, OFFSET, INDUCTION, RETRIEVAL, OTHER = KINDS = (
    "previous token", "offset", "induction", "retrieval", "other"
)  # fmt: skip


class HeadRole(NamedTuple):
    """One head.

    Args:
        layer: From 0.
        head: From 0.
        kind: One of the names above.
        score: Of that kind, or the highest of all for `other`.
        at: Distance that an offset head looks at, in tokens.
        scores: By kind; without what could not be looked for.
        removed: What the loss grows by without it, in nats; None if it was not tried.
        by_offset: What the loss grows by when its weights are those that it has by distance, on
            average: what content decides is then gone; None likewise.
    """

    layer: int
    head: int
    kind: str
    score: float
    at: int
    scores: dict[str, float]
    removed: float | None = None
    by_offset: float | None = None


@torch.no_grad()
def measure_heads(subject: Subject) -> tuple[HeadRole, ...]:
    """Type all heads, and take them out one by one where that is possible; none where queries and
    keys are not the tokens of a sequence.
    """
    batch = _batch(subject)
    if batch is None:
        return ()
    found: dict[int, HeadScores] = {}
    targets = batch.targets if batch.targets.shape == batch.tokens.shape else None

    def take(operands: Operands) -> None:
        if operands.shape[0] == len(batch.tokens) and operands.shape[2:] == (n_tokens, n_tokens):
            found[seen.layers[-1]] = head_scores(operands, batch.tokens, targets)

    n_tokens = batch.tokens.shape[1]
    with observe(subject.observed, take_attention=take, take_hidden=_forget) as seen:
        subject.outputs(batch)
    heads = [
        _typed(layer, head, of) for layer, of in found.items() for head in range(len(of.previous))
    ]
    if not isinstance(subject, OwnModel):
        return tuple(heads)
    return tuple(_ablated(subject, batch, heads, found))


def _forget(x: Tensor) -> None:
    """Keep no states."""


def _batch(subject: Subject) -> Batch | None:
    """Full sequences of ids, at known positions."""
    if isinstance(subject, OtherModel):
        # What is drawn repeats nothing by itself: the second half is the first once more.
        few = subject.few.tokens[:N_OTHER, :MOST_OTHER]
        half = few.shape[1] // 2
        if half < 2:
            return None
        size = subject.pretrained.config.vocab_size
        drawn = torch.randint(size, (len(few), half), generator=torch.Generator().manual_seed(0))
        tokens = drawn.repeat(1, 2).to(few.device)
        return Batch(tokens, torch.cat([tokens[:, 1:], tokens[:, :1]], dim=1))
    assert isinstance(subject, OwnModel)
    batch = subject.batch.first(N_SEQUENCES)
    if not are_ids(batch.tokens) or subject.grid is not None:
        return None
    if batch.lengths is not None:
        full = batch.lengths == batch.tokens.shape[1]
        if not full.any():
            return None
        taken: Any = (None if x is None else x[full.to(x.device)] for x in batch)
        batch = Batch(*taken)._replace(lengths=None)
    batch = batch.cut(MOST_TOKENS)
    return batch._replace(positions=placed(subject, batch))


def _typed(layer: int, head: int, of: HeadScores) -> HeadRole:
    scores = {
        PREVIOUS: float(of.previous[head]),
        OFFSET: float(of.offset[head]),
        INDUCTION: float(of.induction[head]),
        RETRIEVAL: float(of.retrieval[head]),
    }
    scores = {kind: score for kind, score in scores.items() if score == score}
    top = max(scores.values())
    kind = next((k for k in scores if scores[k] >= max(TYPED, top - CLOSE)), OTHER)
    return HeadRole(layer, head, kind, scores.get(kind, top), int(of.at[head]), scores)


def _ablated(
    subject: OwnModel, batch: Batch, heads: list[HeadRole], found: dict[int, HeadScores]
) -> Iterator[HeadRole]:
    """The same with what each costs; the loss is that of the examined sequences."""

    def loss() -> float:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            return float(subject.module.score(batch, 0)[0])

    chosen = sorted(heads, key=lambda each: -each.score)[:MOST_ABLATED]
    whole = loss()
    for each in heads:
        kernels = _kernels(subject, each.layer)
        if kernels is None or whole != whole or each not in chosen:
            yield each
            continue
        mean = found[each.layer].by_offset[each.head]
        with _replaced(kernels, each.head, None):
            removed = loss() - whole
        with _replaced(kernels, each.head, mean):
            by_offset = loss() - whole
        yield each._replace(removed=removed, by_offset=by_offset)


def _kernels(subject: OwnModel, layer: int) -> Kernels | None:
    """What attends in a layer; None if nothing does, or several parts do."""
    if layer >= len(subject.encoder.mixers):
        return None
    found = [m for m in subject.encoder.mixers[layer].modules() if isinstance(m, Kernels)]
    return found[0] if len(found) == 1 else None


@contextmanager
def _replaced(kernels: Kernels, head: int, by_offset: Tensor | None) -> Iterator[None]:
    """Within, a head attends by the mean weights (2T - 1) of each distance alone, or not at all."""

    def instead(_: Any, args: tuple[Any, ...], out: Tensor) -> Tensor:
        out = out.clone()
        operands: Operands = args[0]
        if by_offset is None:
            out[:, head] = 0
            return out
        n = operands.shape[3]
        places = torch.arange(n, device=out.device)
        weights = by_offset.to(out.device)[places[:, None] - places + n - 1]
        seen = operands.visibility.dense
        if seen is not None:
            weights = weights * seen[:, head if seen.shape[1] > 1 else 0]
        weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-9)
        group = head * operands.v.shape[1] // operands.shape[1]
        out[:, head] = (weights.to(out.dtype) @ operands.v[:, group]).to(out.dtype)
        return out

    handle = kernels.register_forward_hook(instead)
    try:
        yield
    finally:
        handle.remove()
