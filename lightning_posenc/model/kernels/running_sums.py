"""Sums over the past of every token, in time linear in the length: attention without a softmax.

Shapes: B sequences, H heads, T tokens in N chunks of C, K channels of a key, V of a value.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 64  # tokens whose products are written out; what lies before them is one matrix (K, V)


def running_sums(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None = None,
    documents: Tensor | None = None,
    state: Tensor | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """o_i = Σ_{j ≤ i} exp(Σ_{j < m ≤ i} log_decay_m) (q_i · k_j) v_j, j being of i's document.

    Within a chunk the products are written out; what lies before it is the state at its start. No
    decay is divided by, so none is too strong. Source: the chunkwise form of Sun et al. 2023,
    arXiv:2307.08621, equation 7, with the decays of Dao and Gu 2024, arXiv:2405.21060, section 6.

    Args:
        q: (B, H, T, K), T at least 1; all is computed in float32, in float64 if q is.
        k: (B, H, T, K).
        v: (B, H, T, V).
        log_decay: (B|1, H|1, T), at most 0: what a token leaves of the state before it; None for 0.
        documents: (B, S) documents of all tokens, each in one piece, those in the state first;
            None if sequences are not packed.
        state: (B, H, K, V), Σ_j decay_j k_j v_jᵀ over what came before; None for nothing.
        chunk: C, at least 1.

    Returns:
        (B, H, T, V), and the state after the last token.
    """
    n_tokens, dtype = q.shape[2], torch.promote_types(q.dtype, torch.float32)
    chunk = min(chunk, n_tokens)
    short = -n_tokens % chunk
    if log_decay is None:
        log_decay = q.new_zeros(1, 1, n_tokens)
    q, k, v, log_decay = (x.to(dtype) for x in (q, k, v, log_decay))
    if short:  # padding by nothing would copy
        q, k, v = (F.pad(x, (0, 0, 0, short)) for x in (q, k, v))
        log_decay = F.pad(log_decay, (0, short))
    q, k, v = (x.unflatten(2, (-1, chunk)) for x in (q, k, v))  # (B, H, N, C, K)
    decayed = log_decay.unflatten(2, (-1, chunk)).cumsum(dim=-1)
    seen = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).tril()
    before = torch.ones((), dtype=torch.bool, device=q.device)  # of the document before the chunk
    after = before  # of the document at its end
    stays = before  # whether these are one
    if documents is not None:
        own = torch.cat([documents, documents[:, -1:].expand(-1, short)], dim=1)
        first = max(documents.shape[1] - n_tokens - 1, 0)  # the last token in the state
        own, past = own[:, -short - n_tokens :], own[:, None, first : first + 1]
        own = own.unflatten(1, (-1, chunk)).unsqueeze(1)  # (B, 1, N, C)
        previous = torch.cat([past, own[:, :, :-1, -1]], dim=2).unsqueeze(-1)
        seen = seen & (own.unsqueeze(-1) == own.unsqueeze(-2))
        before, after = own == previous, own == own[..., -1:]
        stays = before[..., -1]
    with torch.autocast(q.device.type, enabled=False):
        between = decayed.unsqueeze(-1) - decayed.unsqueeze(-2)  # (B|1, H|1, N, C, C)
        weights = between.masked_fill(~seen, -torch.inf).exp()
        left = (decayed[..., -1:] - decayed).exp() * after  # of a key at the chunk's end
        reached = decayed.exp() * before  # of the state before the chunk, at a query
        added = (k * left.unsqueeze(-1)).mT @ v  # (B, H, N, K, V)
        start = torch.zeros_like(added[:, :, 0]) if state is None else state.to(dtype)
        states = _scanned(start, decayed[..., -1].exp() * stays, added)
        out = ((q @ k.mT) * weights) @ v
        out = out + (q * reached.unsqueeze(-1)) @ states[:, :, :-1]
    return out.flatten(2, 3)[:, :, :n_tokens], states[:, :, -1]


def _scanned(start: Tensor, kept: Tensor, added: Tensor) -> Tensor:
    """S_n = kept_n S_{n-1} + added_n for all n, S_0 first, in log N steps of all at once.

    Args:
        start: (B, H, K, V), S_0.
        kept: (B|1, H|1, N).
        added: (B, H, N, K, V).

    Returns:
        (B, H, N + 1, K, V).
    """
    sums = torch.cat([start.unsqueeze(2), added], dim=2)
    kept = F.pad(kept, (1, 0)).unsqueeze(-1).unsqueeze(-1)
    step = 1
    while step < sums.shape[2]:
        reached = sums[:, :, step:] + kept[:, :, step:] * sums[:, :, :-step]
        sums = torch.cat([sums[:, :, :step], reached], dim=2)
        kept = torch.cat([kept[:, :, :step], kept[:, :, step:] * kept[:, :, :-step]], dim=2)
        step *= 2
    return sums
