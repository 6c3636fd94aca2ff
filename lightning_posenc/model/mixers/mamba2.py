"""A recurrence whose states fade as fast as each token says: Mamba-2's, with a scalar decay.

Shapes: B sequences, T tokens, H heads, P channels of a head, E = H·P, G groups of heads, N numbers
of a state for each channel, W tokens of the convolution, C = E + 2·G·N, D = d_model.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers.base import Context
from lightning_posenc.model.mixers.neighbours import with_the_past
from lightning_posenc.model.mixers.recurrent import Recurrent
from lightning_posenc.positions.paper import Paper

SLOWEST, FASTEST = 1.0, 16.0  # rates of the heads' decays at first
SHORTEST, LONGEST = 1e-3, 1e-1  # steps at first


class Mamba2(Recurrent):
    """h_t = exp(-a Δ_t) h_{t-1} + Δ_t x_t b_tᵀ and y_t = h_t c_t + d x_t, gated and normalised.

    A token says how long its step Δ is, and so how much of the past it leaves; that, and a
    convolution of x, b and c over the last W tokens, knows order without any encoding. Source: Dao
    and Gu 2024, "Transformers are SSMs", arXiv:2405.21060, equation 1 with a scalar decay, computed
    by blocks as in section 6, within the block of section 7.1: out(norm(y · silu(z))), the norm of
    each group of heads by its root mean square; the start of a, Δ and d is that of the authors'
    code. T tokens cost O(T) time and memory, and are decoded from a state of P·N numbers a head and
    W - 1 tokens' inputs of the convolution. The decay is of tokens, not of positions. Bidirectional
    models are refused.

    Args:
        dims: Sizes of the model, whose heads of P = D / n_heads channels are `expand` times as
            many in here.
        layer: Index of the layer, from 0.
        expand: E / D, at least 1.
        d_state: N, at least 1.
        n_groups: G, a divisor of the number of heads: b and c are a group's.
        conv_width: W, at least 1. The convolution stops at documents.
        bias: Whether the projections have a bias.

    Raises:
        ValueError: If groups do not divide the heads.
    """

    hooks = frozenset()
    serves = frozenset({"causal", "padding", "documents", "cache"})
    source = Paper(
        "Dao and Gu", 2024,
        "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured "
        "State Space Duality",
        "2405.21060", "equation 1 and section 6",
    )  # fmt: skip
    equation = (
        r"h_t = e^{-a \Delta_t} h_{t-1} + \Delta_t x_t b_t^{\top}, \quad y_t = h_t c_t + d\, x_t"
    )

    def __init__(
        self,
        dims: Dims,
        layer: int,
        expand: int = 2,
        d_state: int = 64,
        n_groups: int = 1,
        conv_width: int = 4,
        bias: bool = False,
    ) -> None:
        super().__init__(dims, layer)
        self.n_heads = whole(self, "expand", expand, most=MOST_WIDTH) * dims.n_heads
        self.n_groups = whole(self, "n_groups", n_groups)
        if self.n_heads % n_groups:
            raise wrong(self, "n_groups", n_groups, f"divide the {self.n_heads} heads")
        whole(self, "d_state", d_state, most=MOST_WIDTH)
        whole(self, "conv_width", conv_width, most=MOST_WIDTH)
        wide = expand * dims.d_model
        self.widths = (wide, n_groups * d_state, n_groups * d_state)
        x, b, c = self.widths
        self.into = Stacked(
            dims.d_model, {"gate": x, "x": x, "b": b, "c": c, "step": self.n_heads}, bias=bias
        )
        channels = sum(self.widths)
        self.conv = nn.Conv1d(channels, channels, conv_width, groups=channels)
        rates = torch.empty(self.n_heads).uniform_(SLOWEST, FASTEST)
        self.log_rate = nn.Parameter(rates.log())  # ln a
        steps = torch.empty(self.n_heads).uniform_(math.log(SHORTEST), math.log(LONGEST)).exp()
        self.step_bias = nn.Parameter(steps.expm1().log())  # softplus of which is the step
        self.skip = nn.Parameter(torch.ones(self.n_heads))  # d
        self.gain = nn.Parameter(torch.ones(wide))
        self.out = nn.Linear(wide, dims.d_model, bias=bias)

    def mix(self, x: Tensor, context: Context) -> Tensor:
        gate, x, b, c, step = self.into.parts(x)
        dtype = torch.promote_types(gate.dtype, torch.float32)
        log_rate, step_bias, skip, gain = (
            each.to(dtype) for each in (self.log_rate, self.step_bias, self.skip, self.gain)
        )
        mixed = F.silu(self._convolved(torch.cat([x, b, c], dim=-1), context)).to(dtype)
        x, b, c = mixed.split(self.widths, dim=-1)
        x = x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (B, H, T, P)
        steps = F.softplus(step.to(dtype) + step_bias).transpose(1, 2)  # (B, H, T)
        log_decay = -log_rate.exp().unsqueeze(-1) * steps
        y = self.summed(
            context, self._of_heads(c), self._of_heads(b), steps.unsqueeze(-1) * x, log_decay
        )
        y = (y + skip[:, None, None] * x).transpose(1, 2).flatten(-2)  # (B, T, E)
        y = (y * F.silu(gate.to(dtype))).unflatten(-1, (self.n_groups, -1))
        y = F.rms_norm(y, y.shape[-1:], eps=1e-5).flatten(-2) * gain
        return self.out(y.to(gate.dtype))

    def _convolved(self, x: Tensor, context: Context) -> Tensor:
        """Mix each channel of (B, T, C) with those of the tokens before, in the cache too."""
        weight, bias = self.conv.weight.squeeze(1), self.conv.bias
        assert bias is not None
        return with_the_past(x, weight, context, self.layer, "inputs") + bias

    def _of_heads(self, x: Tensor) -> Tensor:
        """What each head has of its group, (B, T, G·N) to (B, H, T, N)."""
        of_groups = x.unflatten(-1, (self.n_groups, -1)).transpose(1, 2)
        return of_groups.repeat_interleave(self.n_heads // self.n_groups, dim=1)
