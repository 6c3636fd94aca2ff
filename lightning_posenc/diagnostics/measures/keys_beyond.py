"""How much of attention would keys take that stand farther away than any key of training?

A rotation knows distances alone, so a trained model's own queries tell it, without a longer
sequence: moved on by L places, L the trained length, they meet the same keys L to 2 L away, at
angles that no training showed. Beside the keys where they are, these then compete for the weights.
A head that distance is all one to gives them half.

Shapes: B sequences, H heads, T queries, t of them, S keys, K channels of a head, n planes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.observing.observe import Observation
from lightning_posenc.diagnostics.observing.rotary_planes import RotaryPlanes
from lightning_posenc.diagnostics.observing.some_queries import MOST, some_queries
from lightning_posenc.model.kernels import Operands, logits
from lightning_posenc.positional.rotary.base import rotate, rotation


class KeysBeyond(NamedTuple):
    """What keys L to 2 L away would take of one layer's attention; means over queries.

    Args:
        taken: (H,) their share of the weights, where the same keys are beside them.
        best: (H,) weight of the best key as things are: near 1 of a head that looks at one.
    """

    taken: Tensor
    best: Tensor

    @property
    def of_layer(self) -> Tensor:
        """Mean over the heads, by the square of `best`: what an average over many keys takes in
        more, harms little.
        """
        weights = self.best**2
        return (self.taken * weights).sum() / weights.sum()


@kinds_checked
@torch.no_grad()
def keys_beyond(
    operands: Operands, planes: RotaryPlanes, lengths: Tensor | None = None, most: int = MOST
) -> KeysBeyond | None:
    """Measure one layer, in O(t · S) memory, by queries of the second half of the sequences.

    Args:
        operands: One layer's attention, of sequences as long as those of training.
        planes: In which its queries and keys are turned.
        lengths: (B,) tokens of each sequence; queries beyond are left out. None if all are full.
        most: t, queries that are looked at, evenly spaced.

    Returns:
        None where something other than planes says how far a key is (a bias, a grid), a window
        hides what is far, or no query is in the second half.
    """
    other = operands.bias, operands.rescore, operands.score
    if not planes.by_distance or any(each is not None for each in other):
        return None
    index, some = some_queries(operands, 2 * most)
    n_sequences, _, n_queries, n_keys = operands.shape
    places = torch.tensor(index, device=some.q.device) + n_keys - n_queries
    full = places.new_full((n_sequences,), n_keys)
    ends = full if lengths is None else lengths.to(places.device)
    counted = (places >= n_keys // 2) & (places < ends[:, None])  # (B, t)
    first = some.visibility.dense
    if first is not None:
        sees_first = first[..., 0].expand(n_sequences, -1, -1)
        if not sees_first[counted[:, None].expand_as(sees_first)].all():
            return None
    if not counted.any():
        return None
    near = logits(some)
    far = logits(some._replace(q=_moved_on(some.q, planes)))
    weights = torch.cat((near, far), dim=-1).softmax(dim=-1)
    taken = weights[..., n_keys:].sum(dim=-1)
    best = near.softmax(dim=-1).amax(dim=-1)
    of = counted[:, None].expand_as(taken)
    return KeysBeyond(*((x * of).nansum(dim=(0, 2)) / of.sum(dim=(0, 2)) for x in (taken, best)))


def _moved_on(q: Tensor, planes: RotaryPlanes) -> Tensor:
    """Queries (B, H, t, K) as they would stand L places further on."""
    angles = (planes.inv_freq.double() * planes.extent).to(q.device)
    angles = angles[None, :, None]  # (1, H|1, 1, n)
    return rotate(q, rotation(angles.cos().float(), angles.sin().float(), planes.layout))


@torch.no_grad()
def beyond_by_layer(seen: Observation, lengths: Tensor | None) -> dict[str, dict[int, Tensor]]:
    """The share of each layer that turns, at the length of the sequences."""
    planes = seen.planes
    found = {
        layer: keys_beyond(operands, planes[layer], lengths)
        for layer, operands in zip(seen.layers, seen.attention, strict=True)
        if layer in planes
    }
    shares = {layer: each.of_layer for layer, each in found.items() if each is not None}
    return {"turns/taken_beyond": shares} if shares else {}
