"""What attention is: softmax(scale · q·k + bias, hidden keys at -inf), in one place.

Kernels compute with these operands, and diagnostics see them; both take all rows of the logits at
once, or some of them.

Shapes: B sequences, H heads, G key-value heads (G divides H), T queries, t of them at a time,
S keys, K channels of a head.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.masks import Visibility
from lightning_posenc.positional.by_distance import Unwritten, written_out

ALL = slice(None)


class Operands(NamedTuple):
    """All that one layer's attention is computed of.

    Args:
        q: (B, H, T, K), after every positional transform.
        k: (B, G, S, K), likewise.
        v: (B, G, S, V).
        bias: (B|1, H|1, T, S), added to the scaled logits, or what it is made of, or None.
        visibility: Who may see whom.
        rescore: Maps masked logits (B, H, T, S) to logits, or None.
        scale: Factor on q·k. An encoding may have widened q and k, while the scale stays that of
            the head, 1/sqrt(K) before.
        score: Maps (B, H, t, K) queries and (B, G, S, K) keys to what stands in place of
            scale · q·k, (B, H, t, S); None for that.
        sinks: (H,) logits of one more key, which every query sees and whose value is 0: weights
            then add up to less than 1. None for none.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    bias: Tensor | Unwritten | None
    visibility: Visibility
    rescore: Callable[[Tensor], Tensor] | None
    scale: float
    score: Callable[[Tensor, Tensor], Tensor] | None = None
    sinks: Tensor | None = None

    @property
    def is_plain(self) -> bool:
        """Whether logits are products and a bias, and weights their softmax, as fused kernels take
        them.
        """
        return self.score is None and self.rescore is None and self.sinks is None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, H, T, S."""
        n_sequences, n_heads, n_queries, _ = self.q.shape
        return n_sequences, n_heads, n_queries, self.k.shape[2]

    @property
    def is_grouped(self) -> bool:
        """Whether several query heads share a key-value head."""
        return bool(self.k.shape[1] != self.q.shape[1])  # torch.jit.trace has sizes as tensors

    def rows(self, queries: slice) -> "Operands":
        """Those of some of the queries, without the last keys if none of them sees those.

        A rescore is of all queries and does not come along.
        """
        visibility = self.visibility.rows(queries)
        seen, bias = slice(visibility.n_keys), self.bias
        if isinstance(bias, Tensor):
            bias = bias[:, :, queries, seen]
        elif bias is not None:
            bias = bias.of(queries, seen).written_out()
        return self._replace(
            q=self.q[:, :, queries],
            k=self.k[:, :, seen],
            v=self.v[:, :, seen],
            bias=bias,
            visibility=visibility,
            rescore=None,
        )


def logits(operands: Operands, rows: slice = ALL) -> Tensor:
    """The logits of some of the queries, -inf at hidden keys.

    Args:
        operands: One layer's.
        rows: Which queries. A rescore needs those of all, of which it then gives these.

    Returns:
        (B, H, t, S) in float32; in float64 if q is. The memory is that of the result.
    """
    if rows != ALL and operands.rescore is not None:
        return logits(operands)[:, :, rows]
    if rows != ALL:
        some = operands.rows(rows)
        unseen = operands.k.shape[2] - some.k.shape[2]
        return F.pad(logits(some), (0, unseen), value=-torch.inf)
    q, k = operands.q, operands.k
    dtype = torch.promote_types(q.dtype, torch.float32)
    with torch.autocast(q.device.type, enabled=False):
        score = operands.score or partial(_products, operands.scale)
        found = score(q.to(dtype), k.to(dtype))
    if operands.bias is not None:
        found = found + written_out(operands.bias)
    if operands.visibility.dense is not None:
        found = found.masked_fill(~operands.visibility.dense, -torch.inf)
    return found if operands.rescore is None else operands.rescore(found).to(dtype)


def _products(scale: float, q: Tensor, k: Tensor) -> Tensor:
    # Query heads that share keys are more rows of one product, whose keys nobody repeats.
    grouped = (q * scale).unflatten(1, (k.shape[1], -1)).flatten(2, 3)
    return (grouped @ k.transpose(-2, -1)).unflatten(2, (-1, q.shape[2])).flatten(1, 2)


def attention_weights(operands: Operands, rows: slice = ALL) -> Tensor:
    """The weights A (B, H, t, S) of some of the queries; see `logits`."""
    return softmax(logits(operands, rows), operands)


def mixed_by(weights: Tensor, v: Tensor) -> Tensor:
    """The values (B, G, S, V) that weights (B, H, T, S) mix: (B, H, T, V)."""
    # Query heads that share values are more rows of one product, as in `logits`.
    grouped = weights.unflatten(1, (v.shape[1], -1)).flatten(2, 3)
    return (grouped @ v).unflatten(2, (-1, weights.shape[2])).flatten(1, 2)


def softmax(logits: Tensor, operands: Operands) -> Tensor:
    """The weights of logits (B, H, t, S), 0 in rows that see nothing (as by somebody else's mask).

    Args:
        logits: With -inf at hidden keys.
        operands: Whose they are.
    """
    if operands.sinks is not None:
        sinks = operands.sinks.to(logits.dtype)[:, None, None].expand(*logits.shape[:-1], 1)
        return torch.cat([logits, sinks], dim=-1).softmax(dim=-1)[..., :-1]
    weights = logits.softmax(dim=-1)
    if operands.visibility.may_be_blind:
        weights = weights.masked_fill(logits.amax(dim=-1, keepdim=True) == -torch.inf, 0.0)
    return weights
