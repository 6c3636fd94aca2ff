"""How much of attention lies in planes that never finished a turn?

A plane whose wavelength 2π/θ is longer than the trained length comes to angles that no training
showed as soon as sequences are longer; one that has turned once around has been everywhere. So the
share of the logits' variance in such planes says, at the trained length, how much of attention
there is to fail beyond it. Li et al. 2026 (arXiv:2602.05258) count such planes; the weights are
those of `rotary_bands.py`.

Shapes: H heads, n planes.
"""

import math

import torch
from torch import Tensor

from lightning_posenc.diagnostics.measures.rotary_bands import band_use
from lightning_posenc.diagnostics.observing.observe import Observation
from lightning_posenc.diagnostics.observing.rotary_planes import RotaryPlanes


def unfinished_share(shares: Tensor, planes: RotaryPlanes) -> Tensor:
    """(H,) sum of the shares (H, n) of the planes that turn and never finish a turn."""
    return (shares * planes.unfinished).sum(dim=-1)


def new_angles(shares: Tensor, planes: RotaryPlanes, longer: float = 2.0) -> Tensor:
    """(H,) Σ share_i · (angles that sequences `longer` times as long add) / 2π, in [0, 1].

    A plane that hardly turns at all adds few, one that is just short of a turn adds the most.
    """
    angles = planes.inv_freq.double() * (planes.extent - 1).clamp(min=1)
    added = (longer * angles).clamp(max=2 * math.pi) - angles.clamp(max=2 * math.pi)
    return (shares * (added / (2 * math.pi)).to(shares.dtype)).sum(dim=-1)


@torch.no_grad()
def turns_by_layer(seen: Observation, lengths: Tensor | None) -> dict[str, dict[int, Tensor]]:
    """The share of each layer that turns, head by head (H,), at the length of the sequences."""
    planes = seen.planes
    found = {
        layer: unfinished_share(band_use(operands, planes[layer], lengths).shares, planes[layer])
        for layer, operands in zip(seen.layers, seen.attention, strict=True)
        if layer in planes and operands.score is None
    }
    return {"turns/unfinished": found} if found else {}
