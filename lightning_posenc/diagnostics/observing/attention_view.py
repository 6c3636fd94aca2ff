"""One layer's attention as it was computed, and its weights block of queries by block.

Shapes: B sequences, H heads, G key-value heads (G divides H), T queries, t of them at a time,
S keys, K channels of a head.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.masks import Mask
from lightning_posenc.positional.by_distance import ByDistance

BLOCK = 64  # queries at a time: at S = 16,384 and 8 heads, 34 MB of float32 for each copy


class AttentionView(NamedTuple):
    """One layer's attention as it was computed: softmax(scale · q·k + bias) over visible keys.

    Args:
        q: (B, H, T, K) queries as the kernel got them, after every positional transform.
        k: (B, G, S, K) keys, likewise.
        v: (B, G, S, V) values.
        bias: (B|1, H|1, T, S) added to the scaled logits, or its table, or None.
        visible: Who may see whom: (B|1, 1|H, T, S) bool; or a `Mask`, which takes no memory (the
            queries are the last of the keys); or None if everybody sees everybody. `visible_at`
            gives a tensor in either case.
        scale: Factor on q·k.
        rescore: Maps masked logits (B, H, T, S) to logits, or None.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    bias: Tensor | ByDistance | None
    visible: Tensor | Mask | None
    scale: float
    rescore: Callable[[Tensor], Tensor] | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, H, T, S."""
        n_sequences, n_heads, n_queries, _ = self.q.shape
        return n_sequences, n_heads, n_queries, self.k.shape[2]

    def visible_at(self, queries: slice) -> Tensor | None:
        """Who is seen by some of the queries: (B|1, 1|H, t, S) bool; None for everybody."""
        if isinstance(self.visible, Mask):
            n_queries, n_keys = self.shape[2:]
            start, stop, _ = queries.indices(n_queries)
            first = n_keys - n_queries + start
            return self.visible.dense(stop - start, n_keys, self.q.device, first)
        return None if self.visible is None else self.visible[:, :, queries]

    def logits_at(self, queries: slice) -> Tensor:
        """The logits (B, H, t, S) of some of the queries in float32, -inf at hidden keys."""
        if self.rescore is not None and queries != slice(None):
            return self.logits_at(slice(None))[:, :, queries]
        dtype = torch.promote_types(self.q.dtype, torch.float32)
        grouped = self.q[:, :, queries].unflatten(1, (self.k.shape[1], -1)).to(dtype)
        keys = self.k.to(dtype).unsqueeze(2).transpose(-2, -1)
        with torch.autocast(self.q.device.type, enabled=False):
            logits = (grouped @ keys).flatten(1, 2).mul_(self.scale)
        if isinstance(self.bias, ByDistance):
            logits += self.bias.rows(queries).written_out()
        elif self.bias is not None:
            logits += self.bias[:, :, queries]
        seen = self.visible_at(queries)
        if seen is not None:
            logits.masked_fill_(~seen, -torch.inf)
        return logits if self.rescore is None else self.rescore(logits).to(dtype)


def blocks(view: AttentionView, block: int = BLOCK) -> Iterator[slice]:
    """Slices that cover the queries; a single one where a rescore needs all logits at once."""
    whole(blocks, "block", block)
    n_queries = view.shape[2]
    if view.rescore is not None:
        yield slice(None)
        return
    for start in range(0, n_queries, block):
        yield slice(start, min(start + block, n_queries))


def softmax_(logits: Tensor) -> Tensor:
    """Weights (…, S) of logits, in their memory; 0 in rows that see nothing, never NaN for them."""
    top = logits.amax(dim=-1, keepdim=True)
    blind = top == -torch.inf
    logits.sub_(top.masked_fill_(blind, 0.0)).exp_()
    return logits.div_(logits.sum(dim=-1, keepdim=True).masked_fill_(blind, 1.0))


@torch.no_grad()
def weights_by_block(view: AttentionView, block: int = BLOCK) -> Iterator[tuple[slice, Tensor]]:
    """The weights A of successive queries, in O(block · S) memory.

    Args:
        view: One layer's attention.
        block: t, queries at a time; a view with a rescore gives all at once.

    Yields:
        The queries, and their float32 (float64 if q is) weights (B, H, t, S). Rows that see no key
        are 0. What is yielded belongs to the caller, who may write into it.
    """
    for queries in blocks(view, block):
        logits = view.logits_at(queries)
        if view.rescore is not None:
            logits = logits.clone()  # perhaps the model's own tensor
        yield queries, softmax_(logits)
