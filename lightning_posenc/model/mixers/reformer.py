"""Attention among tokens that hash to the same bucket.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, D = H·K, R rounds of hashing,
C chunks of M slots.
"""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers import hooks
from lightning_posenc.model.mixers.base import Context, Growth, Mixer
from lightning_posenc.model.mixers.hashing import (
    Seats,
    hashed,
    ranks,
    seats_by_bucket,
    seats_by_rank,
    taken,
    with_before,
)
from lightning_posenc.positions.paper import Paper

SELF = -1e5
"""A token's logit with itself: it looks there only where it sees nobody else."""


class Reformer(Mixer):
    """Softmax attention over tokens that share a bucket in one of R rounds, near in its order.

    Queries are keys, q_j / |q_j|. The h-th token of a bucket in a round sees those of the same
    bucket whose chunk, h // M, is its own or the one before. What several rounds show counts once.
    Hashed is what the tokens are, before an encoding turns it; a bias of pairs is refused, for few
    pairs are formed.

    Source: Kitaev et al. 2020, arXiv:2001.04451, section 2. Deviations: chunks
    are of one bucket and not of the sorted sequence, where later tokens would move the borders of
    what earlier ones see (`ReformerAcrossBuckets` has those); rotations are drawn once and kept;
    the number of buckets does not depend on the length.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        n_buckets: Even.
        chunk: M.
        n_rounds: R.
        bias: Whether the projections have a bias.

    Raises:
        ValueError: If the number of buckets is odd.
    """

    hooks = frozenset({"transform", "values"})
    serves = frozenset({"causal", "bidirectional", "padding", "cache"})
    source = Paper(
        "Kitaev et al.", 2020, "Reformer: The Efficient Transformer", "2001.04451",
        "section 2",
    )  # fmt: skip
    equation = (
        r"o_i = \sum_{j \in S(i)} \operatorname{softmax}_j\!\left( \frac{q_i \cdot q_j}{|q_j|"
        r" \sqrt K} \right) v_j, \quad "
        r"S(i) = \text{same bucket, same chunk or the one before}"
    )
    growth = Growth(time="T log T", memory="T")

    def __init__(
        self,
        dims: Dims,
        layer: int,
        *,
        n_buckets: int = 16,
        chunk: int = 32,
        n_rounds: int = 2,
        bias: bool = True,
    ) -> None:
        super().__init__(dims, layer)
        if whole(self, "n_buckets", n_buckets, 2, 4096) % 2:
            raise wrong(self, "n_buckets", n_buckets, "be even: half of them are opposites")
        self.n_buckets = n_buckets
        self.chunk = whole(self, "chunk", chunk, most=4096)
        whole(self, "n_rounds", n_rounds, most=64)
        self.qkv = Stacked(dims.d_model, {"qk": dims.d_model, "v": dims.d_model}, bias=bias)
        self.out = nn.Linear(dims.d_model, dims.d_model, bias=bias)
        shape = dims.n_heads, n_rounds, dims.d_head, n_buckets // 2
        self.rotations: Tensor
        self.register_buffer("rotations", torch.randn(shape))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Mix (B, T, D) over the tokens: (B, T, D)."""
        with torch.autocast(x.device.type, enabled=False):  # a rounded vector hashes elsewhere
            q, v = self.qkv.heads(x.to(self.qkv.weight.dtype), self.dims.d_head)
        dtype = torch.promote_types(q.dtype, torch.float32)
        q = q.to(dtype)
        k = q * (q.square().sum(dim=-1, keepdim=True) + torch.finfo(dtype).tiny).rsqrt()
        k_x: Tensor | None = x
        if context.cache is not None:
            kept = x if context.positional.reads_inputs else None
            k_x, k, v = context.cache.extended(self.layer, kept, k, v)
        buckets = hashed(k, self.rotations)
        site = context.site(self.layer, x, k_x, q, k, v)
        q, k = hooks.transformed(context.positional, site)
        v = hooks.values(context.positional, site)
        lengths = context.k_places.lengths
        if lengths is None or self.dims.causal:
            lengths = torch.full((1,), k.shape[2], device=x.device)
        with torch.autocast(x.device.type, enabled=False):
            attend = self._by_chunks if context.cache is None else self._by_rows
            mixed = attend(q.to(dtype), k.to(dtype), v.to(dtype), buckets, lengths)
        return self.out(mixed.transpose(1, 2).flatten(-2).to(x.dtype))

    def _seats(self, buckets: Tensor) -> Seats:
        return seats_by_bucket(buckets, self.n_buckets, self.chunk)

    def _by_chunks(
        self, q: Tensor, k: Tensor, v: Tensor, buckets: Tensor, lengths: Tensor
    ) -> Tensor:
        """Attend, each round in chunks: (B, H, T, V)."""
        seats = self._seats(buckets)
        split = (-1, self.chunk)
        tokens = seats.tokens.unflatten(-1, split)  # (B, H, R, C, M)
        queries = taken(q, seats.tokens).unflatten(3, split)
        keys, values = (with_before(taken(x, seats.tokens).unflatten(3, split)) for x in (k, v))
        of_keys = with_before(tokens).unsqueeze(-2)  # (B, H, R, C, 1, 2M)
        of_queries = tokens.unsqueeze(-1)
        seen = of_keys < lengths.view(-1, *[1] * 5)
        if self.dims.causal:
            seen = seen & (of_keys <= of_queries)
        before = torch.arange(2 * self.chunk, device=q.device) < self.chunk
        seen = seen & (seats.follows[..., None, None] | ~before)
        logits = (queries @ keys.mT).masked_fill(~seen, -torch.inf)
        logits = logits - self._rounds_that_show(seats, buckets).log()
        itself = torch.eye(self.chunk, dtype=torch.bool, device=q.device)
        itself = torch.cat([torch.zeros_like(itself), itself], dim=1)
        logits = logits.masked_fill(itself, SELF)
        totals = logits.logsumexp(dim=-1)  # (B, H, R, C, M)
        mixed = (logits - totals.unsqueeze(-1)).exp() @ values
        totals = totals.flatten(3).gather(3, seats.slots)  # (B, H, R, T)
        index = seats.slots.unsqueeze(-1).expand(-1, -1, -1, -1, v.shape[-1])
        mixed = mixed.flatten(3, 4).gather(3, index)
        return (totals.softmax(dim=2).unsqueeze(-1) * mixed).sum(dim=2)

    def _rounds_that_show(self, seats: Seats, buckets: Tensor) -> Tensor:
        """In how many rounds each query of a chunk sees each key, at least 1: (…, C, M, 2M)."""
        n_rounds, split = buckets.shape[2], (-1, self.chunk)
        shown = torch.zeros((), device=buckets.device)
        for other in range(n_rounds):
            bucket, chunk = (
                taken(x[:, :, other], seats.tokens).unflatten(3, split)
                for x in (buckets, seats.slots // self.chunk)
            )
            apart = chunk.unsqueeze(-1) - with_before(chunk).unsqueeze(-2)
            same = bucket.unsqueeze(-1) == with_before(bucket).unsqueeze(-2)
            shown = shown + (same & (apart >= 0) & (apart <= 1))
        return shown.clamp(min=1)

    def _by_rows(self, q: Tensor, k: Tensor, v: Tensor, buckets: Tensor, lengths: Tensor) -> Tensor:
        """Attend likewise, every key of a few queries, the last: (B, H, T, V)."""
        n_queries, n_keys = q.shape[2], k.shape[2]
        order, rank, _ = ranks(buckets, self.n_buckets)
        chunk = torch.empty_like(rank).scatter_(-1, order, rank // self.chunk)
        apart = chunk[..., -n_queries:, None] - chunk.unsqueeze(-2)
        same = buckets[..., -n_queries:, None] == buckets.unsqueeze(-2)
        seen = (same & (apart >= 0) & (apart <= 1)).any(dim=2)  # (B, H, T, S)
        places = torch.arange(n_keys, device=q.device)
        own = places[-n_queries:].unsqueeze(-1)
        logits = (q @ k.mT).masked_fill(~(seen & (places <= own)), -torch.inf)
        return logits.masked_fill(places == own, SELF).softmax(dim=-1) @ v


class ReformerAcrossBuckets(Reformer):
    """The same as it was released: chunks of the sorted tokens, whatever buckets they are of.

    A token sees its chunk and the one before, the first the last; what several rounds show counts
    several times. It serves no causal model: later tokens move the borders of the chunks, and so
    what earlier tokens see, though no gradient tells of it.

    Source: Kitaev et al. 2020, arXiv:2001.04451, section 2, and the authors' code, which Hugging
    Face transcribes.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        n_buckets: Even.
        chunk: M.
        n_rounds: R.
        bias: Whether the projections have a bias.
    """

    serves = frozenset({"bidirectional"})
    source = Paper(
        "Kitaev et al.", 2020, "Reformer: The Efficient Transformer", "2001.04451", "section 2"
    )
    equation = (
        r"o_i = \sum_{j \in S(i)} \operatorname{softmax}_j\!\left( \frac{q_i \cdot q_j}{|q_j|"
        r" \sqrt K} \right) v_j, \quad "
        r"S(i) = \text{the sorted tokens' chunk and the one before}"
    )

    def _seats(self, buckets: Tensor) -> Seats:
        return seats_by_rank(buckets, self.n_buckets, self.chunk)

    def _rounds_that_show(self, seats: Seats, buckets: Tensor) -> Tensor:
        return torch.ones((), device=buckets.device)
