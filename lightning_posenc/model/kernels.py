"""How is attention computed? One definition, several executions.

softmax(scale · q·k + bias, hidden keys at -inf) · v. `Eager` materialises it and is the oracle;
`SDPA` is the default; `Flex` runs FlexAttention on CUDA. What the positional hooks returned decides
the path within a kernel: a rescore needs the logits, so everything hands over to `Eager` there; and
so it does where forward-mode differentiation passes through, which no fused kernel knows.

A kernel is a submodule of the attention, so that a forward hook sees its operands.

Shapes: B sequences, H heads, G key-value heads (G divides H), T queries, S keys, K channels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention
from torch.utils.checkpoint import checkpoint

from lightning_posenc.checks import number
from lightning_posenc.masks import Visibility
from lightning_posenc.positional.by_distance import ByDistance, written_out
from lightning_posenc.positions.recording import is_recorded

ROWS = 256  # queries at a time where a bias is not written out at once


class Operands(NamedTuple):
    """All that a kernel computes with.

    Args:
        q: (B, H, T, K).
        k: (B, G, S, K).
        v: (B, G, S, K).
        bias: (B|1, H|1, T, S), added to the scaled logits, or its table, or None.
        visibility: Who may see whom.
        rescore: Maps masked logits (B, H, T, S) to logits, or None.
        scale: Factor on q·k; None takes 1/sqrt(K). An encoding may have widened q and k, while
            the scale stays that of the head.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    bias: Tensor | ByDistance | None
    visibility: Visibility
    rescore: Callable[[Tensor], Tensor] | None = None
    scale: float | None = None

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
        if isinstance(bias, ByDistance):
            bias = bias.rows(queries, visibility.n_keys).written_out()
        elif bias is not None:
            bias = bias[:, :, queries, seen]
        return self._replace(
            q=self.q[:, :, queries],
            k=self.k[:, :, seen],
            v=self.v[:, :, seen],
            bias=bias,
            visibility=visibility,
            rescore=None,
        )

    def repeated(self, x: Tensor) -> Tensor:
        """Keys or values (B, G, S, K), one for each query head: (B, H, S, K)."""
        repeats = self.q.shape[1] // x.shape[1]
        return x.repeat_interleave(repeats, dim=1) if repeats > 1 else x


def attention_weights(operands: Operands) -> Tensor:
    """The weights A (B, H, T, S), in float32 (float64 if q is)."""
    q, k, _, bias, visibility, rescore, scale = operands
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    # Scaled first: the products of float16 end at 65504, far below what softmax can bear.
    logits = (q * scale) @ operands.repeated(k).transpose(-2, -1)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if bias is not None:
        logits = logits + written_out(bias)
    if visibility.dense is not None:
        logits = logits.masked_fill(~visibility.dense, -torch.inf)
    if rescore is not None:
        logits = rescore(logits)
    return logits.softmax(dim=-1)


def read_weights(operands: Operands, read: Callable[[Tensor, slice], Tensor]) -> Tensor:
    """Call `read` with the weights (B, H, t, S') of t queries at a time and with their slice.

    The weights are those of the first S' keys, beyond which these queries see nothing; they are
    computed once more in the backward pass. A rescore, which is of all queries, gives all at once.

    Returns:
        (B, H, T, K) of what `read` gave for each slice, (B, H, t, K).
    """
    n_queries = operands.q.shape[2]
    if operands.rescore is not None or n_queries <= ROWS or is_recorded():
        return read(attention_weights(operands), slice(0, n_queries))

    def part(queries: slice) -> Tensor:
        return read(attention_weights(operands.rows(queries)), queries)

    return by_rows(part, n_queries)


@torch.compiler.disable
def by_rows(part: Callable[[slice], Tensor], n_queries: int, draws: bool = False) -> Tensor:
    """What `part` gives (B, H, t, K) for a few queries at a time: (B, H, T, K).

    It is called once more for each in the backward pass, in memory that does not grow with T.

    Args:
        part: Is called with a slice of the queries.
        n_queries: T.
        draws: Whether it draws random numbers, which must then be the same in both passes.
    """
    again = partial(checkpoint, part, use_reentrant=False, preserve_rng_state=draws)
    run = again if torch.is_grad_enabled() else part
    starts = range(0, n_queries, ROWS)
    return torch.cat([run(slice(start, min(start + ROWS, n_queries))) for start in starts], dim=2)


def has_tangent(operands: Operands) -> bool:
    """Whether forward-mode differentiation passes through: no fused kernel of torch's has it."""
    if torch.compiler.is_compiling():
        return False
    tensors = [x for x in operands[:4] if isinstance(x, Tensor)]
    return any(unpack_dual(x).tangent is not None for x in tensors)


class Kernel(nn.Module, ABC):
    """Computes attention.

    Args:
        dropout: Probability of dropping an attention weight in training, in [0, 1).
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = number(self, "dropout", dropout, 0, below=1)

    @abstractmethod
    def forward(self, operands: Operands) -> Tensor:
        """Attend: (B, H, T, K) in the dtype of q."""


class Eager(Kernel):
    """Materialised logits and a softmax in float32: what every other execution is held to."""

    def forward(self, operands: Operands) -> Tensor:
        weights = attention_weights(operands).to(operands.v.dtype)
        weights = F.dropout(weights, self.dropout, self.training)
        return weights @ operands.repeated(operands.v)


class SDPA(Eager):
    """torch's scaled_dot_product_attention: fused wherever it can be."""

    def forward(self, operands: Operands) -> Tensor:
        q, k, v, bias, visibility, rescore, scale = operands
        if rescore is not None or has_tangent(operands):
            return super().forward(operands)
        if isinstance(bias, ByDistance):
            # Of this class, so that a hook on the module sees all the operands, once.
            draws = self.training and self.dropout > 0
            return by_rows(
                lambda queries: SDPA.forward(self, operands.rows(queries)), q.shape[2], draws
            )
        is_causal = bias is None and visibility.is_causal
        mask = None
        if bias is not None:
            # Expanded to four dimensions: a mask of fewer leaves the fused path. In the dtype of q:
            # cuDNN reads a float32 mask beside bfloat16 queries as bfloat16 (pytorch #191612).
            mask = visibility.added_to(bias, q.dtype).expand(-1, q.shape[1], -1, -1)
        elif not is_causal:
            mask = visibility.dense
        # Where an encoding widened q and k, values as wide keep the fused path.
        width, wider = v.shape[-1], q.shape[-1] - v.shape[-1]
        out = F.scaled_dot_product_attention(
            q,
            k,
            F.pad(v, (0, wider)) if wider else v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=is_causal,
            scale=scale,
            enable_gqa=operands.is_grouped,
        )
        return out[..., :width] if wider else out


class Flex(SDPA):
    """FlexAttention: a block-sparse mask that skips what nobody sees, and a bias without the sum.

    Taken on CUDA, without attention dropout (which it lacks) and for a bias that needs no gradient
    (whose backward has open faults: pytorch #145208, #157677; tests/model/test_flex.py holds it to
    the oracle where there is a GPU). Otherwise `SDPA`, and so on the CPU, where FlexAttention has
    no backward for queries, keys and values.
    """

    def forward(self, operands: Operands) -> Tensor:
        learned = operands.bias is not None and operands.bias.requires_grad
        drops = self.training and self.dropout > 0
        tangent = has_tangent(operands)
        if not operands.q.is_cuda or operands.rescore is not None or learned or drops or tangent:
            return super().forward(operands)
        attend: Callable[..., Any] = flex_attention
        if not torch.compiler.is_compiling():  # else it is compiled with the rest of the model
            attend = _compiled_flex()
        return flex(attend, operands)


def flex(attend: Callable[..., Tensor], operands: Operands) -> Tensor:
    """Attend by `flex_attention` or its compiled form; `rescore` is left out."""
    q, k, v, bias, visibility, _, scale = operands
    return attend(
        q,
        k,
        v,
        score_mod=None if bias is None else _adding(bias),
        block_mask=visibility.block,
        scale=scale,
        enable_gqa=operands.is_grouped,
    )


def _adding(bias: Tensor | ByDistance) -> Callable[..., Tensor]:
    if isinstance(bias, ByDistance):
        return _looking_up(bias)
    rows, heads = bias.shape[:2]

    def score_mod(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return score + bias[b % rows, h % heads, q, k]

    return score_mod


def _looking_up(bias: ByDistance) -> Callable[..., Tensor]:
    """The same from a table, which nobody writes out."""
    values, low, q_pos, k_pos = bias

    def score_mod(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        distance = q_pos[b % len(q_pos), q] - k_pos[b % len(k_pos), k]
        return score + values[h, distance - low]

    return score_mod


@cache
def _compiled_flex() -> Callable[..., Tensor]:
    return torch.compile(flex_attention, dynamic=True)
