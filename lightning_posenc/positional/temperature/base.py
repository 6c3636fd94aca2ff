"""What sharpens attention with the number of keys: queries times one number each.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positions.places import Places


class QueryTemperature(PositionalEncoding, ABC):
    """Queries times a number that follows from how many keys there are to choose from.

    Weights of a softmax over n keys flatten as n grows, unless logits grow with ln n. Write
    `temperature`. It composes with every encoding by `Chain.of(RoPE, SSMax)`, and goes to chosen
    layers by `PerLayer` and `FirstLayers`.

    In a causal model n is position + 1, as in every model that has been published with one, so
    that packed documents want positions of their own (`PerDocument`); in a bidirectional one it is
    the number of tokens of the query's own sequence or document. Windows and other masks do not
    change n.

    Args:
        dims: Sizes of the model.
    """

    crosses = False

    @abstractmethod
    def temperature(self, n: Tensor, layer: int) -> Tensor:
        """What queries are multiplied by, (B|1, T) or (B|1, H, T), in float32.

        Args:
            n: (B|1, T) keys that each query may choose from, at least 1, in float32.
            layer: Index of the layer, from 0.
        """

    def planes(self, layer: int) -> None:
        """None: a query that is scaled is not turned."""
        return None

    def keys_stay(self, layer: int) -> bool:
        return True

    def prepare(self, q_places: Places, k_places: Places) -> Tensor:
        """(B|1, T) how many keys each query may choose from, in float32."""
        return keys_to_choose_from(self.dims, q_places, k_places)

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        factor = self.temperature(site.prepared, site.layer)
        if factor.dim() == 2:
            factor = factor.unsqueeze(1)
        return (site.q * factor.unsqueeze(-1)).to(site.q.dtype), site.k


def keys_to_choose_from(dims: Dims, q_places: Places, k_places: Places) -> Tensor:
    """(B|1, T) n of `QueryTemperature` for each query, in float32."""
    if dims.causal:
        return (q_places.values.float() + 1).clamp(min=1)
    return _tokens(k_places)[:, -q_places.values.shape[1] :]


def _tokens(places: Places) -> Tensor:
    """(B|1, S) how many tokens the sequence or document of each token has, in float32."""
    size = places.values.shape[1]
    if places.documents is not None:
        together = places.documents.unsqueeze(-1) == places.documents.unsqueeze(-2)
        if places.lengths is not None:
            inside = torch.arange(size, device=together.device) < places.lengths.unsqueeze(-1)
            together = together & inside.unsqueeze(1)
        return together.sum(dim=-1).clamp(min=1).float()
    if places.lengths is not None:
        return places.lengths.unsqueeze(-1).expand(-1, size).clamp(min=1).float()
    return torch.full((1, size), float(size), dtype=torch.float32, device=places.values.device)
