"""A global batch, on every rank.

Shapes: B sequences, T tokens.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from lightning_posenc.data.batch import Batch
from lightning_posenc.tasks import IGNORE


def gathered(batch: Batch, world_size: int) -> Batch:
    """The batch that the ranks' batches are shares of, on every rank.

    What is measured on it is what one process measures, be it a mean or not, and ranks with a
    sharded model run it equally often.

    Args:
        batch: This rank's share: sequences r, r + W, r + 2W, … for rank r of W.
        world_size: W, each of which must call.
    """
    shares: list[Any] = [None] * world_size
    distributed.all_gather_object(shares, batch.to(torch.device("cpu")))
    return interleaved(shares).to(batch.tokens.device)


def interleaved(shares: Sequence[Batch]) -> Batch:
    """One batch of which each rank holds every W-th sequence; shorter shares are padded."""
    width = _width(shares, "tokens")
    rows = min(len(share.tokens) for share in shares)
    if any(share.lengths is not None or share.tokens.shape[1] < width for share in shares):
        shares = [share._replace(lengths=_lengths(share)) for share in shares]
    fields: dict[str, Tensor | None] = {}
    for name in Batch._fields:
        parts = []
        for share in shares:
            part = getattr(share, name)
            if part is None:
                continue
            if part.dim() > 1:
                missing = _width(shares, name) - part.shape[1]
                fill = IGNORE if name == "targets" else 0
                part = F.pad(part, (*[0] * 2 * (part.dim() - 2), 0, missing), value=fill)
            parts.append(part[:rows])
        whole = len(parts) == len(shares)
        fields[name] = torch.stack(parts, dim=1).flatten(0, 1) if whole else None
    return Batch(**fields)  # type: ignore[arg-type]


def _width(shares: Sequence[Batch], name: str) -> int:
    """Of the widest share's field: a transcript is not as long as what it is of."""
    return max(part.shape[1] for share in shares if (part := getattr(share, name)) is not None)


def _lengths(share: Batch) -> Tensor:
    n_sequences, n_tokens = share.tokens.shape[:2]
    return torch.full((n_sequences,), n_tokens) if share.lengths is None else share.lengths
