"""Attention by a law of distances.

Shapes: B sequences, T queries, S keys, H heads, G heads of keys and values, K channels of a head,
n pairs of channels that turn.
"""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lightning_posenc.positional.rotary.laws import Law

Layout: TypeAlias = Literal["half", "interleaved"]

HIDDEN = -1  # in place of a branch: the key is not looked at
LOGITS = 2**24  # that are held at once, by default: 64 MiB in float32


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    law: Law,
    inv_freq: Tensor,
    query_positions: Tensor,
    key_positions: Tensor,
    seen: Tensor | None,
    scale: float,
    layout: Layout = "half",
    most_logits: int = LOGITS,
) -> Tensor:
    """Attend causally by a law of distances, exactly, a few rows of queries at a time.

    Memory is that of `most_logits` logits, or of one row, beside what goes in and out; of each
    branch only the range of keys that it is taken for in these rows is computed.

    Args:
        q: Not turned, (B, H, T, K); the queries stand at the end of the keys.
        k: Not turned, (B, G, S, K), G a divisor of H.
        v: (B, G, S, V).
        law: Of the distances.
        inv_freq: (n,), 2n at most K; the first 2n channels turn.
        query_positions: (B, T).
        key_positions: (B, S).
        seen: Which keys a query may look at, boolean (B|1, 1, T, S); None for all before it.
        scale: Factor on q·k.
        layout: Which channels make a pair.
        most_logits: How many are held at once.

    Returns:
        (B, T, H, V).
    """
    n_batch, n_heads, n_queries, _ = q.shape
    n_keys, n_groups = k.shape[2], k.shape[1]
    q = (q * scale).unflatten(1, (n_groups, n_heads // n_groups))  # (B, G, H/G, T, K)
    if (factor := law.sharpened(query_positions)) is not None:
        q = q * factor[:, None, None, :, None].to(q.dtype)
    keys = [
        _turned(k, branch.key(key_positions), inv_freq, layout).unsqueeze(2)
        for branch in law.branches
    ]
    n_rows = max(1, most_logits // (n_batch * n_heads * n_keys))
    slots = torch.arange(n_keys, device=q.device)
    mixed = []
    for start in range(0, n_queries, n_rows):
        rows = slice(start, min(start + n_rows, n_queries))
        past = slice(0, n_keys - n_queries + rows.stop)
        at = query_positions[:, rows]
        choice = law.chosen(at.unsqueeze(2), key_positions[:, past].unsqueeze(1))
        own_slots = slots[n_keys - n_queries :][rows].unsqueeze(1)
        choice = choice.masked_fill(slots[past] > own_slots, HIDDEN)
        if seen is not None:
            choice = choice.masked_fill(~seen[:, 0, rows, past], HIDDEN)
        # Queries of padding see nothing, and must not become NaN.
        lowest = torch.finfo(q.dtype).min
        logits = q.new_full((*q.shape[:3], *choice.shape[1:]), lowest)
        for number, branch in enumerate(law.branches):
            taken = choice == number
            columns = taken.flatten(0, 1).any(0).nonzero()
            if not len(columns):
                continue
            some = slice(int(columns[0]), int(columns[-1]) + 1)
            turned = _turned(q[:, :, :, rows], branch.query(at), inv_freq, layout)
            part = turned @ keys[number][..., some, :].mT
            here = taken[:, None, None, :, some]
            logits[..., some] = torch.where(here, part, logits[..., some])
        weights = torch.softmax(logits, -1, dtype=torch.float32).to(v.dtype)
        mixed.append((weights @ v[:, :, None, past]).flatten(1, 2))
    return torch.cat(mixed, 2).transpose(1, 2).contiguous()


def _turned(x: Tensor, positions: Tensor, inv_freq: Tensor, layout: Layout) -> Tensor:
    """Turn the first 2n channels of (B, …, T, K) by positions (B, T)."""
    angles = positions.float().unsqueeze(-1) * inv_freq.to(x.device)  # (B, T, n)
    angles = angles.view(len(angles), *[1] * (x.dim() - 3), *angles.shape[1:])
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    n = len(inv_freq)
    rest = x[..., 2 * n :]
    if layout == "half":
        one, other = x[..., :n], x[..., n : 2 * n]
        pair = one * cos - other * sin, other * cos + one * sin
        return torch.cat((*pair, rest), -1)
    one, other = x[..., 0 : 2 * n : 2], x[..., 1 : 2 * n : 2]
    pair = one * cos - other * sin, other * cos + one * sin
    return torch.cat((torch.stack(pair, -1).flatten(-2), rest), -1)
