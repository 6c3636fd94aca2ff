"""Forgetting attention.

Shapes: B sequences, T queries, S keys, H heads, D = d_model.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import number
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positions.paper import Paper


class FoX(PositionalEncoding):
    """A forget gate at each token fades all that came before it, for each head.

    bias_ij = sum over l = j+1..i of log f_l: a forget gate f_l = sigmoid(w · x_l + b) per head.

    A query sees a token through all gates since: what is far fades as fast as the tokens between
    let it. Sums are taken in float32, as differences of one running sum.

    Source: Lin et al. 2025, "Forgetting Transformer: Softmax Attention with a Forget Gate",
    arXiv:2503.02130; the paper's "Pro" block around it is no part of the encoding.

    Args:
        dims: Sizes of the model, which must be causal.
        gate_bias: b at initialisation: 0 as in the authors' code (f about 1/2); larger forgets
            less (x-transformers: 5, f about 0.993).
        std: Standard deviation of w at initialisation; None takes 1 / sqrt(D), so that heads
            differ from the start; at least 0.

    Raises:
        ValueError: In a bidirectional model.
    """

    shift_invariant = True

    source = Paper(
        "Lin et al.",
        2025,
        "Forgetting Transformer: Softmax Attention with a Forget Gate",
        "2503.02130",
    )
    equation = r"b_{ij} = \sum_{l=j+1}^{i} \ln f_l, \quad f_l = \sigma(w \cdot x_l + b)"

    axes = None

    reads_inputs = True

    crosses = False

    def __init__(self, dims: Dims, gate_bias: float = 0.0, std: float | None = None) -> None:
        super().__init__(dims)
        if not dims.causal:
            raise ValueError(
                "FoX: forgets what lies between a query and its past, and says nothing of the "
                "future: use a causal model"
            )
        self.weight = nn.Parameter(torch.empty(dims.n_layers, dims.n_heads, dims.d_model))
        gate_bias = float(number(self, "gate_bias", gate_bias))
        self.gate_bias = nn.Parameter(torch.full((dims.n_layers, dims.n_heads), gate_bias))
        nn.init.normal_(
            self.weight, std=number(self, "std", dims.d_model**-0.5 if std is None else std, 0)
        )

    def bias(self, site: Site) -> Tensor:
        weight, offset = (x[site.layer].float() for x in (self.weight, self.gate_bias))
        with torch.autocast(site.x.device.type, enabled=False):
            gates = F.logsigmoid(F.linear(site.k_x.float(), weight, offset))
            memory = gates.cumsum(dim=1).transpose(1, 2)  # (B, H, S)
        at_query = memory[..., memory.shape[-1] - site.q.shape[2] :]
        return at_query.unsqueeze(-1) - memory.unsqueeze(-2)
