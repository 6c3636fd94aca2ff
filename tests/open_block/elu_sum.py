"""A mixer in one file: attention without a softmax, in time linear in the length.

Shapes: B sequences, T tokens, H heads, K channels of a head, D = H·K.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc import Dims
from lightning_posenc.model import Mixer
from lightning_posenc.model.mixers import Context


class EluSum(Mixer):
    """Σ φ(q)·φ(k) v / Σ φ(q)·φ(k), φ = elu + 1; an encoding turns what stands above the line.

    Source: Katharopoulos et al. 2020, arXiv:2006.16236; turned as in Su et al. 2021, RoFormer,
    arXiv:2104.09864, equation 19.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        bias: Whether the projections have a bias.
    """

    hooks = frozenset({"transform"})
    serves = frozenset({"causal", "bidirectional", "padding"})

    def __init__(self, dims: Dims, layer: int, bias: bool = True) -> None:
        super().__init__(dims, layer)
        self.qkv = nn.Linear(dims.d_model, 3 * dims.d_model, bias=bias)
        self.out = nn.Linear(dims.d_model, dims.d_model, bias=bias)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.dims.n_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = F.elu(q) + 1, F.elu(k) + 1  # (B, H, T, K)
        if (lengths := context.k_places.lengths) is not None:
            real = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
            k = k * real[:, None, :, None]
        site = context.site(self.layer, x, x, q, k, v)
        turned_q, turned_k = context.positional.transform(site)
        if self.dims.causal:
            states = (turned_k.unsqueeze(-1) * v.unsqueeze(-2)).cumsum(dim=2)  # (B, H, T, K, K)
            mixed = (turned_q.unsqueeze(-2) @ states).squeeze(-2)
            total = (q * k.cumsum(dim=2)).sum(dim=-1, keepdim=True)
        else:
            mixed = turned_q @ (turned_k.mT @ v)
            total = (q * k.sum(dim=2, keepdim=True)).sum(dim=-1, keepdim=True)
        return self.out((mixed / total.clamp_min(1e-6)).transpose(1, 2).flatten(-2))
