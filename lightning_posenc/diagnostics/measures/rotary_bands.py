"""Which frequencies of a rotation does a head use?

Barbero et al. 2024, "Round and Round We Go! What makes Rotary Positional Encodings useful?"
(arXiv:2410.06205): a plane's part of a logit is at most ‖q_i‖‖k_i‖, whatever the angle,
so the norms tell which planes a head can use at all. Heads of position use fast planes, heads of
content slow ones.

Shapes: B sequences, H heads, G key-value heads, T queries, t of them, S keys, K channels of a head,
n planes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.observing.rotary_planes import RotaryPlanes
from lightning_posenc.diagnostics.observing.some_queries import MOST, some_queries
from lightning_posenc.model.kernels import Operands
from lightning_posenc.positional.by_distance import written_out
from lightning_posenc.positional.rotary.base import Layout


class BandUse(NamedTuple):
    """How much of a head's logits each plane makes; means over sequences and real queries.

    Args:
        norms: (H, n) scale · ‖q_i‖ · mean ‖k_i‖ over the keys that a query sees: the most that the
            plane can add to a logit.
        shares: (H, n) the variance of the plane's part of the logit over a query's keys, over the
            sum of such variances of all parts: the planes, what does not turn, and a bias. In
            [0, 1]; what all keys of a query have in common, no softmax notices, and it does not
            count.
        rest: (H,) the share of what is in no plane.
    """

    norms: Tensor
    shares: Tensor
    rest: Tensor


@kinds_checked
@torch.no_grad()
def band_use(
    operands: Operands, planes: RotaryPlanes, lengths: Tensor | None = None, most: int = MOST
) -> BandUse:
    """Measure one layer, in O(t · S) memory.

    The variance of q·k over keys is qᵀ C q with C the 2 x 2 covariance of the keys, which query
    heads share: no logit of a single plane is ever made.

    Args:
        operands: One layer's attention, whose logits are products.
        planes: In which its queries and keys are turned.
        lengths: (B,) tokens of each sequence; queries beyond are left out. None if all are full.
        most: Queries that are looked at, evenly spaced.
    """
    index, some = some_queries(operands, most)
    n_sequences, n_heads, n_queries, n_keys = operands.shape
    with torch.autocast(some.q.device.type, enabled=False):
        q, k = some.q.float() * some.scale, some.k.float()
        seen = some.visibility.dense
        if seen is None:
            seen = torch.ones(1, 1, len(index), n_keys, dtype=torch.bool, device=q.device)
        if seen.shape[1] > 1:  # heads see other keys each
            k = k.repeat_interleave(n_heads // k.shape[1], dim=1)
        counts = seen.sum(dim=-1, keepdim=True)
        over = seen / counts.clamp(min=1)  # (B|1, 1|H, t, S): a mean over the keys that are seen
        variances, norms = _of_planes(q, k, over, planes)
        rest = _of_products(q, k, over, 2 * planes.n_planes)
        if some.bias is not None:
            rest = rest + _variance(written_out(some.bias).float(), over)
    places = torch.tensor(index, device=q.device) + n_keys - n_queries
    full = places.new_full((n_sequences,), n_keys)
    real = places < (full if lengths is None else lengths.to(places.device))[:, None]
    counted = (real[:, None] & (counts[..., 0] > 0)).expand(n_sequences, n_heads, -1).float()
    total = counted.sum(dim=(0, 2)).clamp(min=1)
    norms, variances = (
        torch.einsum("bhtn,bht->hn", x, counted) / total[:, None] for x in (norms, variances)
    )
    rest = (rest * counted).sum(dim=(0, 2)) / total
    whole = (variances.sum(dim=-1) + rest).clamp(min=torch.finfo(q.dtype).tiny)
    return BandUse(norms, variances / whole[:, None], rest / whole)


def _of_planes(q: Tensor, k: Tensor, over: Tensor, planes: RotaryPlanes) -> tuple[Tensor, Tensor]:
    """Variances of the planes' parts and bounds of their size, each (B, H, t, n)."""
    n, n_groups = planes.n_planes, k.shape[1]
    pairs_k = in_planes(k, n, planes.layout)
    sizes = pairs_k.norm(dim=-1)
    pairs_k = pairs_k - pairs_k.mean(dim=2, keepdim=True)  # what differs little cancels less
    x, y = pairs_k.unbind(-1)
    moments = (over @ torch.cat((x, y, x * x, x * y, y * y, sizes), dim=-1)).unsqueeze(2)
    mean_x, mean_y, xx, xy, yy, size = moments.split(n, dim=-1)  # (B, G, 1, t, n)
    pairs_q = in_planes(q, n, planes.layout).unflatten(1, (n_groups, -1))
    a, b = pairs_q.unbind(-1)  # (B, G, H/G, t, n)
    variances = (
        a * a * (xx - mean_x**2) + 2 * a * b * (xy - mean_x * mean_y) + b * b * (yy - mean_y**2)
    )
    norms = pairs_q.norm(dim=-1) * size
    return variances.clamp(min=0).flatten(1, 2), norms.flatten(1, 2)


def _of_products(q: Tensor, k: Tensor, over: Tensor, first: int) -> Tensor:
    """Variance (B, H, t) of the part of the logits that channels from `first` on make."""
    if q.shape[-1] == first:
        return q.new_zeros(q.shape[:3])
    n_groups = k.shape[1]
    left = q[..., first:].unflatten(1, (n_groups, -1))
    logits = left @ k[..., first:].unsqueeze(2).transpose(-2, -1)
    return _variance(logits.flatten(1, 2), over)


def _variance(logits: Tensor, over: Tensor) -> Tensor:
    """Over the keys that each query sees."""
    mean = (logits * over).sum(dim=-1, keepdim=True)
    return ((logits - mean).square() * over).sum(dim=-1)


def in_planes(x: Tensor, n: int, layout: Layout) -> Tensor:
    """The first 2n channels of (…, K) as n pairs (…, n, 2)."""
    if layout == "interleaved":
        return x[..., : 2 * n].unflatten(-1, (n, 2))
    return torch.stack((x[..., :n], x[..., n : 2 * n]), dim=-1)
