"""A bias of distance whose shape each query mixes from a few learned ones.

Shapes: B sequences, T queries, S keys, H heads, D = d_model, R profiles, E distances.
"""

from collections.abc import Hashable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.bias.lookup import look_up
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positional.temperature.base import keys_to_choose_from
from lightning_posenc.positions.places import Places, counted, offsets


class ProfiledPairs(NamedTuple):
    """What one forward pass reads.

    Args:
        n_distances: Distances from 0 that may occur, E at most.
        place: (B|1, T, S) distance of each pair; `n_distances` where it is not among them.
        temperature: (B|1, T) what queries and biases are multiplied by; None if by nothing.
    """

    n_distances: int
    place: Tensor
    temperature: Tensor | None


class InklingBias(PositionalEncoding):
    """Each query mixes, for each head, its bias of distance from a few learned profiles.

    bias_h(i, j) = sum over r of (W_h x_i)_r · P_r[i - j] for 0 <= i - j < E, else 0.

    So a token says itself how near or far its head looks. Distances from E on, and later tokens,
    add nothing. With `strength` > 0, queries and biases are multiplied by
    1 + strength · ln max(1, n / floor), n as in `QueryTemperature`, so that long contexts do not
    flatten attention; in Inkling only layers that see all tokens do so: `PerLayer`.

    Source: the models Inkling, whose only positions of text are these and short convolutions
    (`CanonB` of="kv"); there is no paper, and it is held to their code in transformers,
    `InklingRelativeLogits`.
    Deviation: biases start at a size at which they matter, where the models start from W and P of
    0.02; distances off the lattice are rounded.

    Args:
        dims: Sizes of the model.
        rank: R, profiles that all heads of a layer share, at least 1.
        extent: E, at least 1; in Inkling's layers of a window, the window.
        std: Standard deviation of the bias at initialisation, in logits; at least 0.
        strength: Of the temperature, at least 0; 0.1 in Inkling. 0 leaves it out.
        floor: Keys up to which there is no temperature, at least 1.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> from functools import partial
        >>> from lightning_posenc import Dims, Encoder
        >>> from lightning_posenc.positional import InklingBias
        >>> near = partial(InklingBias, rank=8, extent=128)
        >>> encoder = Encoder(Dims(64, 4, 2, causal=True), near)
    """

    equation = (
        r"b_h(i, j) = \begin{cases} \sum_{r=1}^{R} (W_h x_i)_r \, P_{r,\,i-j}"
        r" & 0 \le i - j < E \\ 0 & \text{else} \end{cases}"
    )

    reads_distances = True

    def __init__(
        self,
        dims: Dims,
        rank: int = 16,
        extent: int = 1024,
        std: float = 1.0,
        strength: float = 0.0,
        floor: int = 1024,
    ) -> None:
        super().__init__(dims)
        rank = whole(self, "rank", rank, most=MOST_WIDTH)
        self.extent = whole(self, "extent", extent)
        self.strength = number(self, "strength", strength, 0)
        self.floor = whole(self, "floor", floor)
        layers, heads = dims.n_layers, dims.n_heads
        self.mixture = nn.Parameter(torch.empty(layers, heads, rank, dims.d_model))
        self.profiles = nn.Parameter(torch.empty(layers, rank, extent))
        nn.init.normal_(self.mixture, std=dims.d_model**-0.5)
        nn.init.normal_(self.profiles, std=number(self, "std", std, 0) * rank**-0.5)

    @property
    def crosses(self) -> bool:
        return not self.strength

    def hooks(self, layer: int) -> frozenset[str]:
        return super().hooks(layer) - (set() if self.strength else {"transform"})

    def planes(self, layer: int) -> Hashable | None:
        return None  # a query that is scaled is not turned

    def keys_stay(self, layer: int) -> bool:
        return True

    def prepare(self, q_places: Places, k_places: Places) -> ProfiledPairs:
        delta = counted(offsets(q_places, k_places), k_places)
        delta = delta.round().long() if delta.is_floating_point() else delta
        n = self.extent
        if q_places is k_places and k_places.stretch is None:  # no need of those that cannot occur
            n = int(min(n, k_places.extent + 2))
        inside = (delta >= 0) & (delta < n)
        temperature = None
        if self.strength:
            n_keys = keys_to_choose_from(self.dims, q_places, k_places)
            temperature = 1 + self.strength * (n_keys / self.floor).clamp(min=1).log()
        return ProfiledPairs(n, torch.where(inside, delta, n), temperature)

    def bias(self, site: Site) -> Tensor:
        n, place, temperature = site.prepared
        mixture = of_layer(self.mixture, site.layer).float()
        profiles = of_layer(self.profiles, site.layer)[:, :n].float()
        with torch.autocast(site.x.device.type, enabled=False):
            mixed = F.linear(site.x.float(), mixture.flatten(0, 1))
            mixed = mixed.unflatten(-1, mixture.shape[:2]).transpose(1, 2)  # (B, H, T, R)
            bias = look_up(F.pad(mixed @ profiles, (0, 1)), place)
        return bias if temperature is None else bias * temperature[:, None, :, None]

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        if site.prepared.temperature is None:
            return site.q, site.k
        return (site.q * site.prepared.temperature[:, None, :, None]).to(site.q.dtype), site.k
