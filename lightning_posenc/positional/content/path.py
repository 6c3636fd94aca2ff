"""PaTH attention: accumulated Householder transformations.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, D = H·K.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.content.convolution import short_convolution
from lightning_posenc.positions.paper import Paper


class PaTH(PositionalEncoding):
    """Reflects a key by every token between it and the query, each in a direction of its own.

    logits_ij = q_i · H_i H_{i-1} … H_{j+1} k_j / sqrt(K), with H_s = I - β_s w_s w_s^T.

    w_s is a unit vector and β_s = 2 · sigmoid(u · x_s + c) a number for each head; w is a low-rank
    map of x, a short causal convolution, SiLU and a division by its length. What the product
    differs by from q_i · k_j is added as a bias, so that other encodings may stand beside it.

    The product over a span is I minus a sum of w_s w_l^T with coefficients that solve one
    triangular system (the UT transform), the same for all spans: exact, in float32, with S·S
    numbers for each head and O(S^3) operations, where a kernel made for it needs O(S^2 · K).

    Source: Yang et al. 2025, "PaTH Attention: Position Encoding via Accumulating Householder
    Transformations", arXiv:2505.16381; SiLU and sizes as in the authors' code. Deviation: a w
    for each head of the queries, even if several share a head of the keys.

    Args:
        dims: Sizes of the model, which must be causal.
        rank: Of the map to w, at least 1.
        kernel_size: Tokens that the convolution mixes, at least 1. It stops at documents.

    Raises:
        ValueError: In a bidirectional model, or if a size is not positive.
    """

    shift_invariant = True

    source = Paper(
        "Yang et al.",
        2025,
        "PaTH Attention: Position Encoding via Accumulating Householder Transformations",
        "2505.16381",
    )
    equation = (
        r"\ell_{ij} = \frac{q_i^{\top} H_i H_{i-1} \cdots H_{j+1} k_j}{\sqrt K}, \quad "
        r"H_s = I - \beta_s w_s w_s^{\top}"
    )

    axes = None

    reads_inputs = True

    completes_products = True

    crosses = False

    def __init__(self, dims: Dims, rank: int = 32, kernel_size: int = 3) -> None:
        super().__init__(dims)
        if not dims.causal:
            raise ValueError(
                "PaTH: multiplies along the path from a key to a later query, and has none from "
                "the future: use a causal model"
            )
        whole(self, "rank", rank, most=MOST_WIDTH)
        whole(self, "kernel_size", kernel_size, most=MOST_WIDTH)
        layers, width, heads = dims.n_layers, dims.d_model, dims.n_heads
        self.down = nn.Parameter(torch.empty(layers, rank, width))
        self.up = nn.Parameter(torch.empty(layers, width, rank))
        self.convolution = nn.Parameter(torch.empty(layers, width, kernel_size))
        self.strength = nn.Parameter(torch.empty(layers, heads, width))
        self.strength_bias = nn.Parameter(torch.zeros(layers, heads))
        for parameter in (self.down, self.up, self.convolution, self.strength):
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)

    def bias(self, site: Site) -> Tensor:
        with torch.autocast(site.x.device.type, enabled=False):
            w, beta = self.reflections(site.k_x.float(), site.k_places.documents, site.layer)
            q, k = site.q.float(), site.k.float()
            k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
            start = k.shape[2] - q.shape[2]  # the queries are the last of the keys
            to_query = (q @ w.transpose(-2, -1)).tril(start)  # (B, H, T, S): s <= i
            of_key = beta * (w @ k.transpose(-2, -1)).tril(-1)  # (B, H, S, S): s > j
            among = beta * (w @ w.transpose(-2, -1)).tril(-1)
            removed = torch.linalg.solve_triangular(among, of_key, upper=False, unitriangular=True)
            return to_query @ removed * -(self.dims.d_head**-0.5)

    def reflections(self, x: Tensor, documents: Tensor | None, layer: int) -> tuple[Tensor, Tensor]:
        """The vectors w (B, H, S, K), of unit length, and β (B, H, S, 1)."""
        down, up, kernel, strength, bias = (
            parameter[layer].float()
            for parameter in (
                self.down,
                self.up,
                self.convolution,
                self.strength,
                self.strength_bias,
            )
        )
        w = F.silu(short_convolution(F.linear(F.linear(x, down), up), kernel, documents))
        w = F.normalize(w.unflatten(-1, (self.dims.n_heads, -1)), dim=-1).transpose(1, 2)
        beta = 2 * F.linear(x, strength, bias).sigmoid()
        return w, beta.transpose(1, 2).unsqueeze(-1)
