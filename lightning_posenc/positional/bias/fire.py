"""A network of distance over position.

Shapes: B sequences, H heads, T queries, S keys.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.bias.mlp import ScalarMLP
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places, offsets

EPS = 1e-6  # of the paper's code


class FIRE(PositionalEncoding):
    """A small network maps the distance, relative to the query's position, to a bias.

    bias_ij = f(psi(i - j) / psi(max(L, i))), with psi(x) = sign(x) · log(1 + |c · x|).

    i is the query's position. f is an MLP with one output for each head, and c and the threshold L
    are learned: beyond L, distances count relative to the distance of the first token, so that all
    lengths map to the same interval.

    Source: Li et al. 2023, "Functional Interpolation for Relative Positions Improves Long Context
    Transformers", arXiv:2310.04418, and the code of its appendix, from which the defaults are;
    `shared` is the paper's FIRE-S. Deviation: the sign, without which left and right are the same;
    for keys in the past, and so in a causal model, it changes nothing. No bias in the last linear
    map, which would change no weight.

    Args:
        dims: Sizes of the model.
        width: Of the hidden layer, at least 1.
        c: Where c starts, in [1e-6, 1e6].
        threshold: Where L starts, at least 1: L is this times a learned factor.
        shared: One f, c and L for all layers.

    Raises:
        ValueError: If an argument is out of range.
    """

    source = Paper(
        "Li et al.",
        2023,
        "Functional Interpolation for Relative Positions Improves Long Context Transformers",
        "2310.04418",
    )
    equation = (
        r"b_{ij} = f\!\left( \frac{\psi(i - j)}{\psi(\max(L, i))} \right), \quad "
        r"\psi(x) = \operatorname{sign}(x) \ln(1 + |c\,x|)"
    )

    def __init__(
        self,
        dims: Dims,
        width: int = 32,
        c: float = 0.1,
        threshold: float = 512.0,
        shared: bool = False,
    ) -> None:
        super().__init__(dims)
        whole(self, "width", width, most=MOST_WIDTH)
        number(self, "c", c, 1e-6)
        n = 1 if shared else dims.n_layers
        self.threshold = number(self, "threshold", threshold, 1)
        self.mlps = nn.ModuleList(ScalarMLP([width], dims.n_heads, F.relu) for _ in range(n))
        self.c = nn.Parameter(torch.full((n,), float(c)))
        self.factor = nn.Parameter(torch.ones(n))

    def prepare(self, q_places: Places, k_places: Places) -> "Tensor | Pairs":
        """(B|1, H, T, S) if all layers share it; else what each layer makes its own of, so that the
        biases of all never exist at once. Distance alone does not tell: T·S pairs.
        """
        at = q_places.values.unsqueeze(-1).float()
        pairs = Pairs(offsets(q_places, k_places).float(), at)
        return self._bias_of(0, pairs) if len(self.mlps) == 1 else pairs

    def bias(self, site: Site) -> Tensor:
        if isinstance(site.prepared, Tensor):
            return site.prepared
        with torch.autocast(site.q.device.type, enabled=False):
            return self._bias_of(site.layer, site.prepared)

    def _bias_of(self, layer: int, pairs: "Pairs") -> Tensor:
        c, factor = (of_layer(x.float(), layer) for x in (self.c, self.factor))
        longest = torch.maximum(pairs.at, (factor * self.threshold).abs())
        ratio = torch.log1p((c * pairs.delta).abs()) / (torch.log1p((c * longest).abs()) + EPS)
        mlp = self.mlps[layer % len(self.mlps)]
        return mlp(pairs.delta.sign() * ratio).transpose(0, 1).contiguous()


class Pairs(NamedTuple):
    """Queries and keys.

    Args:
        delta: (B|1, T, S) distances, query minus key, in float32.
        at: (B|1, T, 1) positions of the queries, likewise.
    """

    delta: Tensor
    at: Tensor
