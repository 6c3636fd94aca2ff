"""The softmax by random features, in time linear in the length.

Shapes: B sequences, T tokens, H heads, K channels of a head, M features, D = H·K.
"""

import math

import torch
from torch import Tensor, nn

from lightning_posenc.checks import MOST_WIDTH, whole
from lightning_posenc.dims import Dims
from lightning_posenc.draws import Draws
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers.base import Context
from lightning_posenc.model.mixers.recurrent import Recurrent
from lightning_posenc.positions.paper import Paper

_LARGEST = 60.0  # a logarithm of features whose sums float32 holds


class Performer(Recurrent):
    """FAVOR+: o_i = Σ_j φ(q_i)·φ(k_j) v_j / Σ_j φ(q_i)·φ(k_j), φ(x)_m = exp(ω_m·x - |x|²/2).

    Queries and keys are divided by K^(1/4) first, so that φ(q)·φ(k) / M has the mean exp(q·k / √K):
    softmax attention, the nearer the more features. The ω are normal and, K at a time, orthogonal;
    they are drawn from a seed, and anew by `draw` (the callback `RedrawFeatures` calls it). What an
    encoding turns are queries and keys before φ, as in softmax attention. Source: Choromanski et
    al. 2020, "Rethinking Attention with Performers", arXiv:2009.14794, lemma 1 and section 2.4.
    Deviation: the exponent of keys is kept from overflow by a bound that no token depends on, not
    by its maximum over all tokens, future ones included. T tokens cost O(T) time and memory, and
    are decoded from a state of M·(K + 1) numbers a head.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        n_features: M, at least 1; None for the paper's K·ln K, at least K.
        seed: Of the features.
        bias: Whether the projections have a bias.
    """

    serves = frozenset({"causal", "bidirectional", "padding", "documents", "cache"})
    source = Paper(
        "Choromanski et al.", 2020, "Rethinking Attention with Performers", "2009.14794",
        "lemma 1, section 2.4",
    )  # fmt: skip
    equation = (
        r"o_i = \frac{\sum_j \varphi(q_i) \cdot \varphi(k_j) \, v_j}{\sum_j \varphi(q_i) \cdot"
        r" \varphi(k_j)}, \quad "
        r"\varphi(x)_m = e^{\omega_m \cdot x - |x|^2 / 2}"
    )
    features: Tensor

    def __init__(
        self,
        dims: Dims,
        layer: int,
        n_features: int | None = None,
        seed: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(dims, layer)
        width, d_head = dims.d_model, dims.d_head
        usual = max(d_head, round(d_head * math.log(d_head)))
        self.n_features = usual if n_features is None else n_features
        whole(self, "n_features", self.n_features, most=MOST_WIDTH)
        self.seed = whole(self, "seed", seed, 0)
        self.qkv = Stacked(width, {"q": width, "k": width, "v": width}, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.register_buffer("features", torch.empty(self.n_features, d_head))
        self.draw(0)

    @torch.no_grad()
    def draw(self, number: int) -> None:
        """Draw the features anew: the same for the same seed, layer and number, on every rank.

        Args:
            number: Which draw it is, from 0.
        """
        draws = Draws(self.seed, f"features of layer {self.layer}", torch.tensor([number]))
        n_features, d_head = self.features.shape
        n_blocks = -(-n_features // d_head)
        rows, directions = (_normal(draws, n_blocks, d_head, d_head) for _ in range(2))
        q, r = torch.linalg.qr(directions)
        directions = (q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)).mT  # uniform, so
        omega = rows.norm(dim=-1, keepdim=True) * directions
        self.features.copy_(omega.flatten(0, 1)[:n_features])
        self.drawn = number

    def mix(self, x: Tensor, context: Context) -> Tensor:
        q, k, v = self.qkv.heads(x, self.dims.d_head)
        q, k, v = self.changed(x, context, q, k, v)
        if q.shape[-1] != self.dims.d_head:
            raise ValueError(
                f"Performer: its features are of {self.dims.d_head} channels, and "
                f"{type(context.positional).__name__} makes queries of {q.shape[-1]}: take another "
                "encoding, or LinearAttention"
            )
        q, k = self._exponent(q), self._exponent(k)  # (B, H, T, M)
        bound = (self.features.float().square().sum(dim=-1).amax() / 2 - _LARGEST).clamp_min(0)
        q = (q - q.detach().amax(dim=-1, keepdim=True)).exp()  # which the fraction does not notice
        k = self.hidden(context, (k - bound).exp())
        self.show(context, q, k, v)
        sums = self.summed(context, q, k, torch.cat([v, torch.ones_like(v[..., :1])], dim=-1))
        mixed, total = sums[..., :-1], sums[..., -1:]
        mixed = mixed / total.clamp_min(torch.finfo(total.dtype).tiny)
        return self.out(mixed.transpose(1, 2).flatten(-2).to(x.dtype))

    def _exponent(self, x: Tensor) -> Tensor:
        """ω·x - |x|²/2 of queries or keys (B, H, T, K), at most |ω|²/2: (B, H, T, M)."""
        with torch.autocast(x.device.type, enabled=False):
            dtype = torch.promote_types(x.dtype, torch.float32)
            x = x.to(dtype) * self.dims.d_head**-0.25
            return x @ self.features.to(dtype).mT - x.square().sum(dim=-1, keepdim=True) / 2


def _normal(draws: Draws, *shape: int) -> Tensor:
    """Standard normal numbers, in float64."""
    uniform = draws.uniform(*shape)[0].double() + 2.0**-25  # in the middle of each step: not 0
    return math.sqrt(2) * torch.erfinv(2 * uniform - 1)
