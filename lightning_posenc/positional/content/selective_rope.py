"""Selective rotary position embedding.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, n = K/2 pairs, D = H·K.
"""

from collections.abc import Hashable
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, one_of, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.content.convolution import short_convolution
from lightning_posenc.positional.rotary.base import Layout, rotate, rotation
from lightning_posenc.positional.rotary.scaling import checked_base, geometric
from lightning_posenc.positions.paper import Paper


class SelectiveRoPE(PositionalEncoding):
    """Turns pair n of token t by base^(-2n/K) · sum over s <= t of φ_n(x_s): learned steps.

    A query and a key differ in angle by the steps of the tokens after the key, up to the query.
    φ is a low-rank map of x, whose part of every head is divided by its length, then a short
    causal convolution; with `bias`, exp(c) is added, so that all tokens take a step as in RoPE;
    with `gate`, the step is multiplied by sigmoid(g · x + d) of the head.

    Source: Movahedi et al. 2025, "Selective Rotary Position Embedding", arXiv:2511.17388, in the
    form of the authors' code. Deviation: weights start at a scale at which a step is about 1.
    The authors' models are causal; a bidirectional one is served, by the same convolution.

    Args:
        dims: Sizes of the model; the head size must be even.
        base: Ratio between the longest wavelength and 2·pi, for steps of 1; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        rank: Of the map to φ, at least 1.
        kernel_size: Tokens that the convolution mixes, at least 1. It stops at documents.
        bias: Whether every step has a learned positive part, which starts at 1.
        gate: Whether a gate per head and token scales the steps.

    Raises:
        ValueError: If the head size is odd, or a size is not positive.
    """

    shift_invariant = True

    source = Paper("Movahedi et al.", 2025, "Selective Rotary Position Embedding", "2511.17388")
    equation = (
        r"\ell_{ij} = \frac{(R_{a_i} q_i) \cdot (R_{a_j} k_j)}{\sqrt K}, \quad "
        r"a_{t,n} = \mathrm{base}^{-2n/K} \sum_{s \le t} \varphi_n(x_s)"
    )

    axes = None

    reads_inputs = True

    crosses = False

    def __init__(
        self,
        dims: Dims,
        base: float = 500000.0,
        layout: Layout = "half",
        rank: int = 16,
        kernel_size: int = 4,
        bias: bool = False,
        gate: bool = False,
    ) -> None:
        super().__init__(dims)
        if dims.d_head % 2:
            raise ValueError(
                f"SelectiveRoPE: turns pairs of channels, so the head size {dims.d_head} must be "
                "even: change d_model or n_heads"
            )
        whole(self, "rank", rank, most=MOST_WIDTH)
        whole(self, "kernel_size", kernel_size, most=MOST_WIDTH)
        self.base = checked_base(self, base)
        self.layout = one_of(self, "layout", layout, get_args(Layout))
        layers, width, heads = dims.n_layers, dims.d_model, dims.n_heads
        self.down = nn.Parameter(torch.empty(layers, rank, width))
        self.up = nn.Parameter(torch.empty(layers, width // 2, rank))
        self.convolution = nn.Parameter(torch.empty(layers, width // 2, kernel_size))
        nn.init.normal_(self.down, std=heads**-0.5)  # the root of heads is the length of x
        for parameter in (self.up, self.convolution):
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
        self.step: nn.Parameter | None = None
        if bias:
            self.step = nn.Parameter(torch.zeros(layers, width // 2))
        self.gate: nn.Parameter | None = None
        if gate:
            self.gate = nn.Parameter(torch.empty(layers, heads, width))
            self.gate_bias = nn.Parameter(torch.zeros(layers, heads))
            nn.init.normal_(self.gate, std=heads**-0.5)

    def planes(self, layer: int) -> Hashable:
        # As those of a `Rotary` that turns all channels of a head.
        return self.layout if self.layout == "interleaved" else (self.layout, self.dims.d_head)

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        with torch.autocast(site.x.device.type, enabled=False):
            steps = self.steps(site.k_x.float(), site.k_places.documents, site.layer)
            frequencies = geometric(self.base, self.dims.d_head, steps.device)
            angles = (steps.cumsum(dim=1) * frequencies).transpose(1, 2)  # (B, H, S, n)
            of_keys = rotation(angles.cos(), angles.sin(), self.layout)
            angles = angles[:, :, angles.shape[2] - site.q.shape[2] :]
            of_queries = rotation(angles.cos(), angles.sin(), self.layout)
        return rotate(site.q, of_queries), rotate(site.k, of_keys)

    def steps(self, x: Tensor, documents: Tensor | None, layer: int) -> Tensor:
        """Step of every pair at every token: (B, S, H, n)."""
        heads = self.dims.n_heads
        x = F.normalize(x.unflatten(-1, (heads, -1)), dim=-1).flatten(-2)
        steps = F.linear(F.linear(x, self.down[layer].float()), self.up[layer].float())
        steps = short_convolution(steps, self.convolution[layer].float(), documents)
        if self.step is not None:
            steps = steps + self.step[layer].float().exp()
        steps = steps.unflatten(-1, (heads, -1))
        if self.gate is None:
            return steps
        gate = F.linear(x, self.gate[layer].float(), self.gate_bias[layer].float())
        return steps * gate.sigmoid().unsqueeze(-1)
