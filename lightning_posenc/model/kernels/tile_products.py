"""Attention and its gradients, tile by tile.

A tile's weights are one softmax while its keys fit the cache; beyond that the keys come in chunks,
and a running LSE joins them. The backward pass makes the weights again: in a softmax over a chunk
and one more column that holds the LSE of all keys, that column's weight p is at least a half, and
the weights over all keys are those of the chunk over p.

Shapes: B sequences, H heads, G key-value heads, T queries, t of a tile, S keys, m of a chunk, K
channels of a head, V of a value.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.compat.torch import denormals_flushed
from lightning_posenc.masks import Visibility, tiles
from lightning_posenc.masks.tiles import KeyStretch
from lightning_posenc.model.kernels.by_definition import by_definition

CHUNK = 767  # keys at a time: with the column of the LSE, lines of 768
AT_ONCE = 2048  # keys of a tile that needs no chunks


class Tiled(torch.autograd.Function):
    """softmax(scale · q·k + bias) v.

    Its operands are q (B, H, T, K), k (B, G, S, K), v (B, G, S, V); a bias (B|1, H|1, T, S), or
    (H|1, T + S - 1) of the diagonals, that of i - j at i - j + S - 1, or None; who sees whom; the
    scale.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, *rest: Any
    ) -> Tensor:
        with denormals_flushed():
            out, lse = Tiles(q, k, v, bias, *rest).forward()
        ctx.save_for_backward(q, k, v, bias, out, lse)
        ctx.rest = rest
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        q, k, v, bias, out, lse = ctx.saved_tensors
        needed = ctx.needs_input_grad[:4]
        if torch.is_grad_enabled():  # a gradient that is itself derived
            inputs = [x for x, wanted in zip((q, k, v, bias), needed, strict=True) if wanted]
            plain = by_definition(q, k, v, bias, *ctx.rest)
            each = iter(torch.autograd.grad(plain, inputs, gradient, create_graph=True))
            return *(next(each) if wanted else None for wanted in needed), None, None
        tiles_ = Tiles(q, k, v, bias, *ctx.rest)
        with denormals_flushed():
            found = TiledGradients(tiles_, gradient, out, lse, needed[3]).of_operands()
        return *found, None, None


class Chunk(NamedTuple):
    """Some of the keys of a tile of one head."""

    tile: KeyStretch
    low: int
    high: int
    b: int
    h: int

    @property
    def keys(self) -> slice:
        return slice(self.low, self.high)

    @property
    def rows(self) -> slice:
        return slice(self.tile.start, self.tile.stop)

    @property
    def size(self) -> tuple[int, int]:
        """t, m."""
        return self.tile.stop - self.tile.start, self.high - self.low


class Tiles:
    """One layer's attention, with what all tiles share.

    With a bias of diagonals the keys are in reverse order: the view whose rows are shifted then
    has the strides (1, 1).
    """

    def __init__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        bias: Tensor | None,
        visibility: Visibility,
        scale: float,
    ) -> None:
        self.dtypes = q.dtype, k.dtype, v.dtype
        dtype = torch.promote_types(q.dtype, torch.float32)
        self.q, self.k, self.v = (x.to(dtype) for x in (q, k, v))
        self.bias, self.scale = bias, scale
        self.n_keys = k.shape[2]
        self.shared = q.shape[1] // k.shape[1]  # query heads to a key
        self.of_sequences = visibility.tiles
        self.diagonals = bias is not None and bias.dim() == 2
        if self.diagonals:
            self.k, self.v = self.k.flip(2), self.v.flip(2)
            self.of_sequences = tuple(
                tuple(tile.mirrored(self.n_keys) for tile in each) for each in self.of_sequences
            )
        self.most = min(self.n_keys, max(AT_ONCE, CHUNK))
        self.scores = self.q.new_empty(tiles.TILE * (self.most + 1))

    def heads(self) -> Iterator[tuple[int, int, int, list[list[Chunk]]]]:
        """Each sequence and head, the head of its keys, and its tiles, in chunks."""
        for b in range(len(self.q)):
            of_sequence = self.of_sequences[b % len(self.of_sequences)]
            for h in range(self.q.shape[1]):
                yield b, h, h // self.shared, [_chunks(tile, b, h) for tile in of_sequence]

    def logits(self, scaled: Tensor, keys: Tensor, chunk: Chunk, free: int = 0) -> Tensor:
        """(t, m + free).

        Args:
            scaled: (t, K) the tile's queries, times the scale.
            keys: (m, K) the chunk's.
            chunk: Where they are.
            free: How many columns behind them are left to the caller.
        """
        n, size = chunk.size
        whole = self.scores[: n * (size + free)].view(n, size + free)
        found = whole[:, :size]
        torch.mm(scaled, keys.t(), out=found)
        if self.bias is not None:
            found.add_(self._bias(self.bias, chunk))
        hidden = chunk.tile.hidden_in(chunk.low, chunk.high)
        if hidden is not None:
            found[:, hidden[0]].masked_fill_(hidden[1], -torch.inf)
        return whole

    def _bias(self, bias: Tensor, chunk: Chunk) -> Tensor:
        if not self.diagonals:
            part = bias[chunk.b % len(bias), chunk.h % bias.shape[1]]
            return part[chunk.rows, chunk.keys]
        values = bias[chunk.h % len(bias)]
        first = values.storage_offset() + (chunk.tile.start + chunk.low) * values.stride(0)
        return values.as_strided(chunk.size, (values.stride(0),) * 2, first)

    def forward(self) -> tuple[Tensor, Tensor | None]:
        """What is mixed (B, H, T, V), in the dtype that was given, and the LSE (B, H, T) if any
        tile has chunks.
        """
        n_sequences, n_heads, n_queries, _ = self.q.shape
        out = self.q.new_empty(n_sequences, n_queries, n_heads, self.v.shape[-1]).transpose(1, 2)
        lse: Tensor | None = None
        for b, h, g, of_head in self.heads():
            q, k, v, mixed = self.q[b, h], self.k[b, g], self.v[b, g], out[b, h]
            for parts in of_head:
                rows, keys = parts[0].rows, parts[0].keys
                scaled = q[rows] * self.scale
                if len(parts) > 1:
                    lse = self.q.new_empty(out.shape[:3]) if lse is None else lse
                    mixed[rows], lse[b, h, rows] = self._joined(scaled, k, v, parts)
                else:
                    logits = self.logits(scaled, k[keys], parts[0])
                    torch.mm(torch.softmax(logits, 1, out=logits), v[keys], out=mixed[rows])
        return out.to(self.dtypes[0]), lse

    def _joined(
        self, scaled: Tensor, k: Tensor, v: Tensor, parts: list[Chunk]
    ) -> tuple[Tensor, Tensor]:
        """What a tile mixes (t, V) of all its chunks, and its LSE (t,)."""
        mixed = scaled.new_zeros(len(scaled), v.shape[1])
        lse = scaled.new_full((len(scaled), 1), -torch.inf)
        limits = torch.finfo(lse.dtype)
        for part in parts:
            logits = self.logits(scaled, k[part.keys], part, free=1)
            largest = torch.maximum(lse, logits[:, :-1].amax(dim=1, keepdim=True))
            largest.clamp_(min=limits.min / 4)  # of queries that see none of these keys
            logits[:, -1:] = largest
            weights = torch.softmax(logits, 1, out=logits)
            own = weights[:, -1:].reciprocal()
            before = (lse - largest).exp_()
            total = (own - 1).add_(before).clamp_(min=limits.tiny)
            mixed.mul_(before / total)
            mixed.add_((weights[:, :-1] @ v[part.keys]).mul_(own / total))
            lse = largest + total.log_()
        return mixed, lse.squeeze(1)


class TiledGradients:
    """What the backward pass of one layer's attention adds up.

    Args:
        of: The layer's operands.
        gradient: (B, H, T, V) of what was mixed.
        out: (B, H, T, V), that.
        lse: (B, H, T) as the forward pass gave it.
        bias_learns: Whether the gradient of the bias is wanted.
    """

    def __init__(
        self, of: Tiles, gradient: Tensor, out: Tensor, lse: Tensor | None, bias_learns: bool
    ) -> None:
        self.of, self.lse = of, lse
        self.gradient = gradient.to(of.q.dtype)
        self.means = (self.gradient * out).sum(dim=-1, keepdim=True)  # of gradients of weights
        self.q, self.k, self.v = (x.new_zeros(x.shape) for x in (of.q, of.k, of.v))
        self.bias: Tensor | None = None
        if bias_learns:
            assert of.bias is not None
            self.bias = of.bias.new_zeros(of.bias.shape)
        self.scores = of.q.new_empty(tiles.TILE * (of.most + tiles.TILE))

    def of_operands(self) -> tuple[Tensor | None, ...]:
        """The gradients of q, k, v and the bias, None if that does not learn."""
        of = self.of
        for b, h, g, of_head in of.heads():
            q, k, v = of.q[b, h], of.k[b, g], of.v[b, g]
            of_q, of_k, of_v = self.q[b, h], self.k[b, g], self.v[b, g]
            for parts in of_head:
                rows = parts[0].rows
                scaled = q[rows] * of.scale
                for part in parts:
                    weights, gradient, mean = self._weights(scaled, k, part, len(parts) > 1)
                    of_v[part.keys].addmm_(weights.t(), gradient)
                    of_logits = self._room(part)
                    torch.mm(gradient, v[part.keys].t(), out=of_logits)
                    of_logits.sub_(mean).mul_(weights)
                    of_q[rows].addmm_(of_logits, k[part.keys])
                    of_k[part.keys].addmm_(of_logits.t(), scaled)
                    if self.bias is not None:
                        self._add_to(self.bias, of_logits, part)
        found = self.q.mul_(of.scale), self.k, self.v
        if of.diagonals:
            found = found[0], self.k.flip(2), self.v.flip(2)
        return *(x.to(dtype) for x, dtype in zip(found, of.dtypes, strict=True)), self.bias

    def _weights(
        self, scaled: Tensor, k: Tensor, part: Chunk, in_chunks: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The weights (t, m), p times too large, and what is p times too small: the gradient
        (t, V) of what was mixed, and the mean (t, 1).
        """
        gradient, mean = self.gradient[part.b, part.h, part.rows], self.means[part.b, part.h]
        mean = mean[part.rows]
        logits = self.of.logits(scaled, k[part.keys], part, free=int(in_chunks))
        if not in_chunks:
            return torch.softmax(logits, 1, out=logits), gradient, mean
        assert self.lse is not None
        logits[:, -1] = self.lse[part.b, part.h, part.rows]
        weights = torch.softmax(logits, 1, out=logits)
        own = weights[:, -1:]
        return weights[:, :-1], gradient / own, mean / own

    def _room(self, part: Chunk) -> Tensor:
        """(t, m) to write the gradients of logits into. Where diagonals are to be summed, each
        row starts one place farther on in its line of t + m - 1.
        """
        n, size = part.size
        if self.bias is None or not self.of.diagonals:
            return self.scores[: n * size].view(n, size)
        self.scores[: n * (n + size)].zero_()
        return self.scores.as_strided((n, size), (n + size, 1))

    def _add_to(self, of_bias: Tensor, of_logits: Tensor, part: Chunk) -> None:
        if not self.of.diagonals:
            row = of_bias[part.b % len(of_bias), part.h % of_bias.shape[1]]
            row[part.rows, part.keys].add_(of_logits)
            return
        n, size = part.size
        lines = self.scores[: n * (n + size - 1)].view(n, n + size - 1)
        first = part.tile.start + part.low
        of_bias[part.h % len(of_bias), first : first + n + size - 1].add_(lines.sum(dim=0))


def _chunks(tile: KeyStretch, b: int, h: int) -> list[Chunk]:
    """All keys of a tile."""
    if tile.high - tile.low <= AT_ONCE:
        return [Chunk(tile, tile.low, tile.high, b, h)]
    starts = range(tile.low, tile.high, CHUNK)
    return [Chunk(tile, low, min(low + CHUNK, tile.high), b, h) for low in starts]
