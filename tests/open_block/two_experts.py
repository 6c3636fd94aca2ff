"""An expert layer in one file: a router sends every token to one of two MLPs."""

import torch
from torch import Tensor, nn

from lightning_posenc import Dims
from lightning_posenc.model import MLP, FeedForward


class TwoExperts(FeedForward):
    """share(chosen) · expert_chosen(x), and a loss that keeps both experts busy.

    Source: Fedus et al. 2021, "Switch Transformers", arXiv:2101.03961, equations 1, 2 and 4-6.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        d_ff: Width of an expert.
        balance: Weight of the loss.
    """

    def __init__(self, dims: Dims, layer: int, d_ff: int = 32, balance: float = 0.01) -> None:
        super().__init__(dims, layer)
        self.router = nn.Linear(dims.d_model, 2)
        self.experts = nn.ModuleList(MLP(dims, layer, d_ff) for _ in range(2))
        self.balance = balance
        self.unbalance: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        shares = self.router(x).softmax(dim=-1)  # (B, T, 2)
        share, chosen = shares.max(dim=-1)
        sent = nn.functional.one_hot(chosen, 2).to(x.dtype)
        if self.training:
            self.unbalance = 2 * (sent.mean(dim=(0, 1)) * shares.mean(dim=(0, 1))).sum()
        found = torch.stack([expert(x) for expert in self.experts], dim=-1)  # (B, T, D, 2)
        return share.unsqueeze(-1) * (found * sent.unsqueeze(-2)).sum(dim=-1)

    def penalty(self) -> Tensor | None:
        """The loss of the last forward pass in training, once."""
        unbalance, self.unbalance = self.unbalance, None
        return None if unbalance is None else self.balance * unbalance

    def initialise(self, std: float, depth_scale: float) -> None:
        for expert in self.experts:
            assert isinstance(expert, MLP)
            expert.initialise(std, depth_scale)
