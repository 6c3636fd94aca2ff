"""Who meets whom where tokens are hashed: buckets, and chunks of them.

Shapes: B sequences, H heads, R rounds of hashing, T tokens, K channels of a head, C chunks of M
slots.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


def hashed(x: Tensor, rotations: Tensor) -> Tensor:
    """The bucket of each vector in each round, (B, H, R, T): argmax of [x r, -x r].

    Source: Andoni et al. 2015, arXiv:1509.02897; Kitaev et al. 2020, arXiv:2001.04451, section 2.

    Args:
        x: (B, H, T, K).
        rotations: (H, R, K, N / 2) for N buckets.
    """
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        turned = x.unsqueeze(2) @ rotations.to(x.dtype)  # (B, H, R, T, N / 2)
        return torch.cat([turned, -turned], dim=-1).argmax(dim=-1)


def ranks(buckets: Tensor, n_buckets: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sort tokens by bucket, and by place within one.

    Args:
        buckets: (B, H, R, T).
        n_buckets: N.

    Returns:
        The sorted tokens (B, H, R, T), how many of the bucket stand before each of them in the
        sequence, likewise, and the number of each bucket's tokens (B, H, R, N).
    """
    order = buckets.argsort(dim=-1, stable=True)
    counts = torch.zeros(*buckets.shape[:-1], n_buckets, dtype=torch.long, device=buckets.device)
    counts.scatter_add_(-1, buckets, torch.ones_like(buckets))
    starts = counts.cumsum(dim=-1) - counts
    places = torch.arange(buckets.shape[-1], device=buckets.device)
    return order, places - starts.gather(-1, buckets.gather(-1, order)), counts


class Seats(NamedTuple):
    """Where each token sits while chunks attend.

    Args:
        tokens: (B, H, R, C·M) who sits in each slot; T, which nobody is, in an empty one.
        slots: (B, H, R, T) the slot of each token.
        follows: (B, H, R, C) whether a chunk sees the one before it, the first the last.
    """

    tokens: Tensor
    slots: Tensor
    follows: Tensor


def seats_by_bucket(buckets: Tensor, n_buckets: int, chunk: int) -> Seats:
    """Each bucket begins a chunk of its own: whom a token meets depends on its past alone.

    A chunk sees the one before it if that is of the same bucket.

    Args:
        buckets: (B, H, R, T).
        n_buckets: N.
        chunk: M.
    """
    n_tokens = buckets.shape[-1]
    order, rank, counts = ranks(buckets, n_buckets)
    n_chunks = (counts + chunk - 1) // chunk  # of each bucket
    ends = n_chunks.cumsum(dim=-1)
    slots = (ends - n_chunks).gather(-1, buckets.gather(-1, order)) * chunk + rank
    in_all = n_tokens // chunk + n_buckets  # at most
    begins = torch.zeros(*buckets.shape[:-1], in_all + 1, dtype=torch.bool, device=buckets.device)
    begins.scatter_(-1, ends - n_chunks, True)
    return Seats(*_seated(order, slots, in_all * chunk), ~begins[..., :-1])


def seats_by_rank(buckets: Tensor, n_buckets: int, chunk: int) -> Seats:
    """Chunks of the sorted tokens, whatever their buckets; the first sees the last, if that is
    another.

    Args:
        buckets: (B, H, R, T).
        n_buckets: N.
        chunk: M.
    """
    order, _, _ = ranks(buckets, n_buckets)
    n_tokens = buckets.shape[-1]
    n_chunks = -(-n_tokens // chunk)
    slots = torch.arange(n_tokens, device=buckets.device).expand_as(order)
    seated = _seated(order, slots, n_chunks * chunk)
    follows = torch.ones(*buckets.shape[:-1], n_chunks, dtype=torch.bool, device=buckets.device)
    return Seats(*seated, follows if n_chunks > 1 else ~follows)


def _seated(order: Tensor, slots: Tensor, n_slots: int) -> tuple[Tensor, Tensor]:
    tokens = torch.full((*order.shape[:-1], n_slots), order.shape[-1], device=order.device)
    own = torch.empty_like(order).scatter_(-1, order, slots)
    return tokens.scatter_(-1, slots, order), own


def with_before(chunks: Tensor) -> Tensor:
    """Each chunk behind the one before it: (B, H, R, C, M, …) to (B, H, R, C, 2M, …)."""
    return torch.cat([chunks.roll(1, dims=3), chunks], dim=4)


def taken(x: Tensor, tokens: Tensor) -> Tensor:
    """Give each slot its token's row: (B, H, T, …) at (B, H, R, C·M) to (B, H, R, C·M, …).

    Args:
        x: (B, H, T, K), or (B, H, T).
        tokens: As in `Seats`; an empty slot gets zeros.
    """
    extra = x.shape[3:]
    padded = F.pad(x, (*[0] * (2 * len(extra)), 0, 1))
    index = tokens.flatten(2)
    index = index.view(*index.shape, *[1] * len(extra)).expand(*index.shape, *extra)
    return padded.gather(2, index).unflatten(2, tokens.shape[2:])
