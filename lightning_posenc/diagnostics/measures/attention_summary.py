"""How one layer attends, head by head, block of queries by block.

Shapes: B sequences, H heads, T queries, t of them at a time, S keys.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.measures.entropy import attention_entropy
from lightning_posenc.diagnostics.measures.similarity import layer_similarity
from lightning_posenc.diagnostics.observing.observe import Observation
from lightning_posenc.diagnostics.observing.row_blocks import BLOCK, row_blocks
from lightning_posenc.model.kernels import Operands, logits
from lightning_posenc.model.kernels.operands import softmax


class AttentionSummary(NamedTuple):
    """Numbers of each head, (H,), float32: means over sequences and their real queries.

    Args:
        entropy: H_i = -Σ_j A_ij ln A_ij, in nats.
        normalised_entropy: H_i / ln(number of visible keys), in [0, 1], over queries that see more
            than one; NaN if none does.
        distance: Σ_j A_ij |i - j|, in tokens; on a grid as the crow flies, in cells, where tokens
            outside the grid are near all others.
        sink: A_i0, the weight on the first key, in [0, 1] (Xiao et al. 2023, arXiv:2309.17453).
        max_logit: The largest logit of a visible key: no mean, the largest of all.
        offset_share: Share of the variance of A over visible pairs that their offset i - j
            explains, in [0, 1]: 1 - Σ (A_ij - mean of offset i - j)² / Σ (A_ij - mean)². 0 where
            nothing varies, by less than a thousandth. On a grid an offset is one of rows and
            columns.
    """

    entropy: Tensor
    normalised_entropy: Tensor
    distance: Tensor
    sink: Tensor
    max_logit: Tensor
    offset_share: Tensor


@kinds_checked
@torch.no_grad()
def summarise(
    operands: Operands,
    lengths: Tensor | None = None,
    block: int = BLOCK,
    cells: Tensor | None = None,
) -> AttentionSummary:
    """Summarise one layer's attention, in O(block · S) memory.

    Args:
        operands: One layer's attention.
        lengths: (B,) tokens of each sequence; queries beyond are left out. None if all are full.
        block: Queries at a time.
        cells: (S, 2) row and column of each key, of which the queries are the last; below 0
            outside the grid. None where tokens follow each other.
    """
    sums = _Sums(operands, lengths, cells)
    with torch.autocast(operands.q.device.type, enabled=False):
        for rows in row_blocks(operands, block):
            sums.add(rows)
    return sums.summary()


class RunningAttentionSummary:
    """The summary of every layer, head by head, and how alike it is to the next below with one.

    It is told of one layer after the other and holds the operands of the last alone.

    Args:
        lengths: (B,) tokens of each sequence; None if all are full.
        cells: As in `summarise`.

    Attributes:
        found: By quantity and layer.
    """

    def __init__(self, lengths: Tensor | None = None, cells: Tensor | None = None) -> None:
        self._cells = cells
        self.found: dict[str, dict[int, Tensor | float]] = {"attn/similarity": {}}
        self._lengths = lengths
        self._below: Operands | None = None

    def add(self, layer: int, view: Operands) -> None:
        """Take the next layer."""
        for name, of_heads in summarise(view, self._lengths, cells=self._cells)._asdict().items():
            self.found.setdefault(f"attn/{name}", {})[layer] = of_heads
        if (below := self._below) is not None:
            self.found["attn/similarity"][layer] = layer_similarity(
                below, view, lengths=self._lengths
            )
        self._below = view


def attention_statistics(
    seen: Observation, lengths: Tensor | None
) -> dict[str, dict[int, Tensor | float]]:
    """The statistics of a pass whose layers were kept."""
    cells = seen.cells_of_rows
    if cells is None or len(cells) > 1 or cells.shape[1] != seen.attention[0].shape[3]:
        statistics = RunningAttentionSummary(lengths)
    else:
        statistics = RunningAttentionSummary(lengths, cells[0])
    for layer, view in zip(seen.layers, seen.attention, strict=True):
        statistics.add(layer, view)
    return statistics.found


class _Sums:
    """Running sums over blocks of queries, in float64."""

    def __init__(
        self, operands: Operands, lengths: Tensor | None, cells: Tensor | None = None
    ) -> None:
        n_sequences, n_heads, n_queries, n_keys = operands.shape
        device = operands.q.device
        self.operands = operands
        self.keys = torch.arange(n_keys, device=device)
        self.queries = self.keys[n_keys - n_queries :]  # the queries are the last of the keys
        full = self.keys.new_full((n_sequences,), n_keys)
        self.real = self.queries < (full if lengths is None else lengths.to(device))[:, None]
        self.plane = None if cells is None else _Plane(cells.to(device), n_queries)
        n_offsets = n_queries + n_keys - 1 if self.plane is None else self.plane.n_offsets
        self.means = torch.zeros(4, n_heads, dtype=torch.float64, device=device)
        self.rows = self.means.new_zeros(2, n_heads)  # that see > 0, > 1 keys
        self.squares = self.means.new_zeros(n_heads)
        self.top = torch.full((n_heads,), -torch.inf, dtype=torch.float32, device=device)
        self.of_offset = self.means.new_zeros(n_heads, n_offsets)  # from -(S - 1) on, as ids
        self.pairs = self.means.new_zeros(n_heads, n_offsets)

    def add(self, rows: slice) -> None:
        found = logits(self.operands, rows)
        visibility = self.operands.visibility
        seen = visibility.seen_by(rows)
        if seen is None:
            seen = found.new_ones(1, 1, *found.shape[2:], dtype=torch.bool)
        seen = seen & self.real[:, None, rows, None]  # (B, 1|H, t, S)
        n_seen = seen.sum(dim=-1)  # (B, 1|H, t)
        top = torch.where(seen, found, -torch.inf).amax(dim=(0, 2, 3))
        self.top = torch.maximum(self.top, top.to(self.top))
        weights = softmax(found, self.operands).mul_((n_seen > 0).unsqueeze(-1))
        entropy = attention_entropy(weights)
        share = entropy / n_seen.clamp(min=2).to(entropy.dtype).log()
        if self.plane is None:
            distance = (self.queries[rows, None] - self.keys).abs().to(weights.dtype)
        else:
            distance = self.plane.distance(rows).to(weights.dtype)
        for index, values in enumerate(
            (
                entropy,
                torch.where(n_seen > 1, share, 0),
                torch.einsum("bhts,ts->bht", weights, distance),
                weights[..., 0],
            )
        ):
            self.means[index] += values.sum(dim=(0, 2), dtype=torch.float64)
        self.rows += torch.stack([(n_seen > least).sum(dim=(0, 2)) for least in (0, 1)])
        first = rows.start or 0
        self._by_offset(self.of_offset, weights.sum(dim=0), first)
        self._by_offset(self.pairs, seen.sum(dim=0).to(weights.dtype), first)
        self.squares += weights.square_().sum(dim=(0, 2, 3), dtype=torch.float64)

    def _by_offset(self, sums: Tensor, values: Tensor, first: int) -> None:
        """Add up (H, t, S) along its diagonals, by a skew: rows laid out one longer than they are.

        The offset of query i and key j is at first + i - j + S - 1.
        """
        n_heads, t, n_keys = values.shape
        if self.plane is not None:
            index = self.plane.offset(slice(first, first + t)).flatten()
            sums.index_add_(1, index, values.flatten(1).to(sums.dtype).expand(len(sums), -1))
            return
        skewed = F.pad(values.flip(2), (0, t)).flatten(1)[:, : t * (n_keys + t - 1)]
        along = skewed.view(n_heads, t, n_keys + t - 1).sum(dim=1)
        sums[:, first : first + n_keys + t - 1] += along

    def summary(self) -> AttentionSummary:
        entropy, normalised, distance, sink = self.means
        total = self.of_offset.sum(dim=1)
        n_pairs = self.pairs.sum(dim=1)
        middle = total.square() / n_pairs
        between = (self.of_offset.square() / self.pairs.clamp(min=1)).sum(dim=1) - middle
        whole = self.squares - middle
        varies = whole > 1e-6 * self.squares
        explained = torch.where(varies, between / whole, 0).clamp(0, 1)
        return AttentionSummary(
            (entropy / self.rows[0]).float(),
            (normalised / self.rows[1]).float(),
            (distance / self.rows[0]).float(),
            (sink / self.rows[0]).float(),
            self.top,
            explained.float(),
        )


class _Plane:
    """Distances and offsets between the tokens of a grid.

    Args:
        cells: (S, 2) of the keys.
        n_queries: T, the last of them.
    """

    def __init__(self, cells: Tensor, n_queries: int) -> None:
        self.keys, self.queries = cells, cells[len(cells) - n_queries :]
        self.inside = (cells >= 0).all(dim=-1)
        self.span = int(cells.amax() - cells.amin()) + 1
        self.n_offsets = (2 * self.span) ** 2 + 1  # the last is that of tokens outside the grid

    def distance(self, rows: slice) -> Tensor:
        """(t, S), 0 where one of the two is outside."""
        apart = (self.queries[rows, None] - self.keys).double().norm(dim=-1)
        return apart * self._both(rows)

    def offset(self, rows: slice) -> Tensor:
        """(t, S) the number of each pair's offset."""
        down, across = (self.queries[rows, None] - self.keys + self.span).unbind(dim=-1)
        return torch.where(self._both(rows), down * 2 * self.span + across, self.n_offsets - 1)

    def _both(self, rows: slice) -> Tensor:
        inside = self.inside[len(self.keys) - len(self.queries) :]
        return inside[rows, None] & self.inside
