"""Data-adaptive positional encoding.

Shapes: B sequences, T queries, S keys, H heads, M hidden channels.
"""

from collections.abc import Hashable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, made, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Factory, PositionalEncoding, Rescore, Site
from lightning_posenc.positional.bias.kerple import KERPLELog
from lightning_posenc.positional.by_distance import written_out
from lightning_posenc.positional.compose.base import Composite
from lightning_posenc.positions.paper import Paper


class DAPE(Composite):
    """Lets a small network adapt an encoding's bias to the logits of all heads.

    logits + b + f([logits, b]) for a bias b: f maps the 2H values of a pair of tokens to H: linear,
    leaky ReLU of slope 0.01, linear.

    Source: Zheng et al. 2024, "DAPE: Data-Adaptive Positional Encoding for Length Extrapolation",
    arXiv:2405.14722, and the authors' code of it. Deviation: the second linear
    map has no offset, which the softmax would cancel.

    Args:
        dims: Sizes of the model.
        encoding: Makes the encoding whose bias is adapted.
        width: M, hidden channels of the MLP, at least 1.

    Raises:
        ValueError: If there are no hidden channels, or the encoding has no bias or changes the
            logits in another way.
    """

    source = Paper(
        "Zheng et al.",
        2024,
        "DAPE: Data-Adaptive Positional Encoding for Length Extrapolation",
        "2405.14722",
    )
    equation = (
        r"\ell \leftarrow \ell + b + f\!\left( [\,\ell,\, b\,] \right), \quad "
        r"f = \text{linear} \circ \text{leaky ReLU} \circ \text{linear over the heads}"
    )

    def __init__(self, dims: Dims, encoding: Factory = KERPLELog, width: int = 32) -> None:
        super().__init__(dims, [made(self, "encoding", encoding, PositionalEncoding, dims)])
        whole(self, "width", width, most=MOST_WIDTH)
        layers, heads = dims.n_layers, dims.n_heads
        self.from_logits = nn.Parameter(torch.empty(layers, width, heads))
        self.from_bias = nn.Parameter(torch.empty(layers, width, heads))
        self.offset = nn.Parameter(torch.empty(layers, width))
        self.to_heads = nn.Parameter(torch.empty(layers, heads, width))
        for parameter in (self.from_logits, self.from_bias, self.offset):  # as nn.Linear does
            nn.init.uniform_(parameter, -((2 * heads) ** -0.5), (2 * heads) ** -0.5)
        nn.init.uniform_(self.to_heads, -(width**-0.5), width**-0.5)

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        (part,) = self.encodings
        return part.embed(x, part.told(positions), layer)

    def hooks(self, layer: int) -> frozenset[str]:
        return self.encodings[0].hooks(layer) - {"bias"} | {"rescore"}

    def planes(self, layer: int) -> Hashable | None:
        return self.encodings[0].planes(layer)

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        return self.encodings[0].transform(self._inner(site))

    def values(self, site: Site) -> Tensor:
        return self.encodings[0].values(self._inner(site))

    def output(self, site: Site, mixed: Tensor) -> Tensor:
        return self.encodings[0].output(self._inner(site), mixed)

    def rescore(self, site: Site) -> Rescore:
        encoding, inner = self.encodings[0], self._inner(site)
        name, bias = type(encoding).__name__, encoding.bias(inner)
        if bias is None or encoding.rescore(inner) is not None:
            what = "adds no bias to adapt" if bias is None else "maps the logits itself"
            raise ValueError(
                f"DAPE: {name} {what}; give an encoding with a bias (KERPLELog, ALiBi)"
            )
        return partial(self._adapted, written_out(bias), site.layer)

    def _adapted(self, bias: Tensor, layer: int, logits: Tensor) -> Tensor:
        hidden = logits == -torch.inf
        scores = logits.masked_fill(hidden, 0)  # what is hidden must not turn up as inf - inf
        with torch.autocast(logits.device.type, enabled=False):
            adapted = self._adapt(scores.float(), bias.float(), layer)
        return (scores + bias + adapted).masked_fill(hidden, -torch.inf)

    def _adapt(self, scores: Tensor, bias: Tensor, layer: int) -> Tensor:
        """f([scores, bias]), (B, H, T, S)."""
        from_logits, from_bias, to_heads = (  # 1x1 convolutions: the fastest linear maps of heads
            weight[layer].float()[..., None, None]
            for weight in (self.from_logits, self.from_bias, self.to_heads)
        )
        bias = bias.expand(-1, self.dims.n_heads, -1, -1)
        of_bias = F.conv2d(bias, from_bias, self.offset[layer].float())
        inner = F.leaky_relu(F.conv2d(scores, from_logits) + of_bias)  # (B, M, T, S)
        return F.conv2d(inner, to_heads)

    @staticmethod
    def _inner(site: Site) -> Site:
        """The site as the adapted encoding sees it."""
        return site._replace(prepared=site.prepared[0])
