"""Canon layers on queries, keys and values.

Shapes: B sequences, T queries, S keys, H heads, G of keys, K channels of a head, W weights.
"""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import one_of, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.content.convolution import short_convolution
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places

KINDS = ("q", "k", "v", "qk", "kv", "qv", "qkv")


class CanonB(PositionalEncoding):
    """Adds to queries, keys and values a short causal convolution of those of the tokens before.

    q_t = q_t + sum over s = 0..W-1 of w_s ⊙ q_(t-s), and k and v likewise, with weights of their
    own for every channel, head and layer.

    So a token carries its near past wherever it is read, and a model needs no other positions to
    tell what follows what. Of a packed sequence every document begins anew. It goes before what
    turns queries and keys: `Chain.of(CanonB, RoPE)`. The other Canon layers are of the block:
    `model.Canon`. With of="kv" it is the short convolution of the models Inkling.

    Source: Allen-Zhu 2025, "Physics of Language Models: Part 4.1, Architecture Design and the
    Magic of Canon Layers", arXiv:2512.17351, Canon-B with its residual link, without bias and
    activation. Deviation: weights for each head of the queries, even if several share a head of
    the keys. The paper is causal; a bidirectional model is served, by the same convolution.

    Args:
        dims: Sizes of the model.
        of: Which are convolved: "qkv", or some of them. With queries no cache is served, for it
            keeps none of earlier tokens.
        kernel_size: W, tokens that the convolution mixes, 1 to 63.

    Raises:
        ValueError: If `of` names others, or kernel_size is out of range.

    Example:
        >>> from lightning_posenc import Dims, Encoder
        >>> from lightning_posenc.positional import CanonB, Chain, RoPE
        >>> encoder = Encoder(Dims(64, 4, 2, causal=True), Chain.of(CanonB, RoPE))
    """

    source = Paper(
        "Allen-Zhu",
        2025,
        "Physics of Language Models: Part 4.1, Architecture Design and the Magic of Canon Layers",
        "2512.17351",
    )
    equation = (
        r"q_t \leftarrow q_t + \sum_{s=0}^{W-1} w_s \odot q_{t-s}, \quad \text{and } k, v \text{"
        r" likewise}"
    )

    axes = None

    crosses = False

    mixes_keys = True

    def __init__(self, dims: Dims, of: str = "qkv", kernel_size: int = 4) -> None:
        super().__init__(dims)
        self.of = one_of(self, "of", of, KINDS)
        size = whole(self, "kernel_size", kernel_size, most=63)
        shape = dims.n_layers, dims.n_heads, dims.d_head, size
        self.weights = nn.ParameterDict({kind: torch.empty(shape) for kind in of})
        for weight in self.weights.values():
            nn.init.uniform_(weight, -(size**-0.5), size**-0.5)  # as torch starts a convolution

    @property
    def reads_all_keys(self) -> bool:
        return True  # a key holds those before it

    def depends_on_length(self, places: Places) -> str | None:
        if "q" not in self.of:
            return None
        return 'CanonB: reads queries of the tokens before, which no cache keeps; of="kv" does not'

    def hooks(self, layer: int) -> frozenset[str]:
        idle = {"transform"} if self.of == "v" else set() if "v" in self.of else {"values"}
        return super().hooks(layer) - idle

    def planes(self, layer: int) -> None:
        """None: channels of several tokens are mixed, and none with another."""
        return None

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        queries, keys = site.q_places.documents, site.k_places.documents
        layer = site.layer
        return self._mixed("q", site.q, queries, layer), self._mixed("k", site.k, keys, layer)

    def values(self, site: Site) -> Tensor:
        return self._mixed("v", site.v, site.k_places.documents, site.layer)

    def _mixed(self, kind: str, x: Tensor, documents: Tensor | None, layer: int) -> Tensor:
        """What becomes of (B, G, S, K): the same, or (B, H, S, K)."""
        if kind not in self.of:
            return x
        weight = self.weights[kind][layer].float().flatten(0, 1)
        with torch.autocast(x.device.type, enabled=False):
            heads = x.float().repeat_interleave(self.dims.n_heads // x.shape[1], dim=1)
            tokens = heads.transpose(1, 2).flatten(2)  # (B, S, H·K)
            tokens = tokens + short_convolution(tokens, weight, documents)
        return tokens.unflatten(-1, (self.dims.n_heads, -1)).transpose(1, 2).to(x.dtype)
