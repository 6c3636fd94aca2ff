"""What makes scores of an encoder's states: a linear head, and what may come before it.

Shapes: D = d_model, C scores.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_posenc.checks import MOST_WIDTH, made, whole
from lightning_posenc.model.inputs import TokenEmbedding
from lightning_posenc.modules.hyperparameters import rebuilt

HEAD_STD = 0.02  # of a head's weights at initialisation, as in GPT-2


class HeadTransform(nn.Module):
    """norm(activation(W·x + b)), between the encoder's states and the head.

    Source: Devlin et al. 2019, arXiv:1810.04805, whose code has one before the masked words' head
    (GELU, LayerNorm) and one before that of sequences (Tanh, no norm: the "pooler").

    Args:
        d_model: D.
        activation: torch.nn.GELU, torch.nn.Tanh, …
        norm: Makes a norm of a width, such as torch.nn.LayerNorm; None for none.
    """

    def __init__(
        self,
        d_model: int,
        activation: Callable[[], nn.Module] = nn.GELU,
        norm: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        whole(self, "d_model", d_model, most=MOST_WIDTH)
        self.dense = nn.Linear(d_model, d_model)
        nn.init.normal_(self.dense.weight, std=HEAD_STD)
        nn.init.zeros_(self.dense.bias)
        self.activation = made(self, "activation", activation, nn.Module)
        self.norm = nn.Identity() if norm is None else made(self, "norm", norm, nn.Module, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, D) to (…, D)."""
        return self.norm(self.activation(self.dense(x)))


class Bias(nn.Module):
    """x + b, of a head that is somebody else's matrix.

    Args:
        n_scores: C.
    """

    def __init__(self, n_scores: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(n_scores))

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, C) to (…, C)."""
        return x + self.bias.to(x.dtype)


def new_head(d_model: int, n_scores: int, bias: bool) -> nn.Linear:
    """A linear head from D to C, at N(0, HEAD_STD²) at first."""
    head = nn.Linear(d_model, n_scores, bias=bias)
    nn.init.normal_(head.weight, std=HEAD_STD)
    if bias:
        nn.init.zeros_(head.bias)
    return head


def tied_scale(embedding: TokenEmbedding) -> float:
    """Factor on the states before a head that is a table of embeddings, so that logits start as
    small as those of a head of its own.
    """
    return HEAD_STD / embedding.std


def made_transform(owner: object, transform: Any, d_model: int) -> nn.Module:
    """What a module's argument `transform` makes; nothing to do if it is None."""
    if transform is None:
        return nn.Identity()
    return made(owner, "transform", rebuilt("transform", transform), nn.Module, d_model)
