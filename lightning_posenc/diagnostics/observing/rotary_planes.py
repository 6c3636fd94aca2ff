"""The planes in which an encoding turns queries and keys, and how fast.

Shapes: B sequences, T tokens, A axes, H heads, n planes, L layers.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.positional import PositionalEncoding
from lightning_posenc.positional.compose.base import Composite, Switch
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positional.rotary.base import Layout, Rotary
from lightning_posenc.positions import Places


class RotaryPlanes(NamedTuple):
    """Pairs of channels that turn in one layer.

    Args:
        layout: Which channels make a pair, as of `Rotary`; those from 2n on do not turn.
        inv_freq: Angle per step of every plane, float32 (H|1, n), not below 0. On a grid along the
            direction in which it is largest.
        extent: How many steps the positions span, the first and the last counted: a tensor
            without dimensions. Of packed documents the longest span.
        by_distance: Whether a distance d turns them by d · inv_freq and does nothing else: not so
            on a grid, where a plane turns backwards, or where a decay, a mixture of frequencies or
            a law of distances comes in.
    """

    layout: Layout
    inv_freq: Tensor
    extent: Tensor
    by_distance: bool = True

    @property
    def n_planes(self) -> int:
        """How many there are, n."""
        return self.inv_freq.shape[-1]

    @property
    def wavelengths(self) -> Tensor:
        """Steps of a whole turn, float64 (H|1, n); infinite where a plane does not turn."""
        return 2 * math.pi / self.inv_freq.double()

    @property
    def unfinished(self) -> Tensor:
        """Whether a plane turns, and never once around within the extent: bool (H|1, n)."""
        return (self.wavelengths > self.extent) & (self.inv_freq > 0)


@torch.no_grad()
def planes_of(positional: PositionalEncoding, layer: int, places: Places) -> RotaryPlanes | None:
    """The planes of an encoding of this package; None if it turns none by fixed frequencies.

    Args:
        positional: The encoding, be it made of others.
        layer: Index of the layer.
        places: Where the tokens are.
    """
    found = _rotary(positional, layer)
    if found is None:
        return None
    rotary, layer = found
    inv_freq = rotary.spectrum(places.of_tokens()).inv_freq.detach().float()
    n = rotary.n_turned // 2
    axes = rotary.axes if isinstance(rotary.axes, int) else 1
    if inv_freq.dim() == 6 and inv_freq.shape[-2] == axes:  # a direction of its own
        inv_freq = inv_freq.norm(dim=-2)
    if inv_freq.dim() > 5 or inv_freq.shape[-1] > n:
        return None
    inv_freq = inv_freq[(None,) * (5 - inv_freq.dim())]
    inv_freq = of_layer(inv_freq, layer).mean(dim=(0, 2))  # (H|1, n)
    one_way = bool((inv_freq >= 0).all())  # learned ones may turn backwards, which sizes hide
    inv_freq = inv_freq.abs()
    rest = n - inv_freq.shape[-1]  # of those that a method lets stand still
    inv_freq = torch.nn.functional.pad(inv_freq, (0, rest))
    plain = one_way and places.axes == 1 and _is_plain(type(rotary))
    return RotaryPlanes(rotary.layout, inv_freq, _span(places), plain)


def _is_plain(kind: type[Rotary]) -> bool:
    """Whether a class turns as `Rotary` itself does, by other frequencies at most."""
    own = ("angles", "coefficients", "prepare", "transform", "bias", "rescore")
    return all(getattr(kind, name) is getattr(Rotary, name) for name in own)


def _rotary(positional: PositionalEncoding, layer: int) -> tuple[Rotary, int] | None:
    """The rotary encoding that acts in a layer, and its own number of the layer."""
    if isinstance(positional, Rotary):
        return positional, layer
    if isinstance(positional, Switch):
        served = positional.serving(layer)
        return None if served is None else _rotary(positional.encodings[served[0]], served[1])
    if isinstance(positional, Composite):
        parts = (_rotary(part, layer) for part in positional.encodings)
        return next((part for part in parts if part is not None), None)
    return None


def _span(places: Places) -> Tensor:
    """Steps from the first position of a sequence to its last, on the longest axis."""
    values = places.of_tokens().detach()
    if places.axes > 1:  # what stands outside a grid is at -1
        values = values.clamp(min=0)
    elif places.documents is not None:
        return _longest(values, places.documents).amax() + 1
    low, high = values.aminmax(dim=1)
    return (high - low).amax() + 1


def _longest(values: Tensor, documents: Tensor) -> Tensor:
    """How far apart two neighbours of one document are, added up: (B,), of the longest one."""
    same = documents[:, 1:] == documents[:, :-1]
    steps = (values[:, 1:] - values[:, :-1]).expand(same.shape) * same
    reached = steps.cumsum(dim=1)
    # What was reached where the document began is taken off.
    begun = torch.where(same, torch.zeros_like(reached), reached).cummax(dim=1).values
    return (reached - begun).amax(dim=1)
