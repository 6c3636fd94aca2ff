"""Which experts does a token have? A router decides it from the token alone.

Shapes: B sequences, T tokens, D = d_model, E experts, k of them for each token.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import is_a, number, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.model.feed_forward.routing import Routing

MOST_EXPERTS = 2**12


class Router(nn.Module, ABC):
    """Sends each token to k of E experts; in float32 at least, whatever the rest computes in.

    Source: the selective precision, Fedus et al. 2021, "Switch Transformers", arXiv:2101.03961,
    section 2.4.

    Args:
        dims: Sizes of the model.
        n_experts: E, at least 2.
        k: Experts of each token, at most E.
    """

    def __init__(self, dims: Dims, n_experts: int, k: int) -> None:
        super().__init__()
        is_a(self, "dims", dims, Dims)
        self.n_experts = whole(self, "n_experts", n_experts, 2, MOST_EXPERTS)
        self.k = whole(self, "k", k, 1, n_experts)
        self.gate = nn.Linear(dims.d_model, n_experts, bias=False)

    def forward(self, x: Tensor) -> Routing:
        """Route (B, T, D)."""
        with torch.autocast(x.device.type, enabled=False):
            return self.route(x.to(torch.promote_types(x.dtype, torch.float32)))

    @abstractmethod
    def route(self, x: Tensor) -> Routing:
        """Route (B, T, D), which is in float32 at least."""

    @staticmethod
    def logits(gate: nn.Linear, x: Tensor) -> Tensor:
        """Project (B, T, D) to (B, T, E) in the precision of x."""
        return F.linear(x, gate.weight.to(x.dtype))


class TopKRouter(Router):
    """The k experts of the highest probability; they count what the softmax over them says.

    Source: Jiang et al. 2024, "Mixtral of Experts", arXiv:2401.04088, section 2.1; probabilities as
    they are: DeepSeekMoE (Dai et al. 2024, arXiv:2401.06066), equations 3 to 5.

    Args:
        dims: Sizes of the model.
        n_experts: E, at least 2.
        k: Experts of each token, at most E.
        normalise: Whether the weights of a token's experts sum to 1; otherwise they are the
            probabilities among all experts.

    Raises:
        ValueError: If one expert's weight is to be normalised, which is then 1 whatever the router
            does, so that it learns nothing.
    """

    def __init__(self, dims: Dims, n_experts: int = 8, k: int = 2, normalise: bool = True) -> None:
        super().__init__(dims, n_experts, k)
        self.normalise = is_a(self, "normalise", normalise, bool)
        if normalise and k == 1:
            raise wrong(
                self, "k", k, "be at least 2, or normalise=false: a lone weight is always 1"
            )

    def route(self, x: Tensor) -> Routing:
        logits = self.logits(self.gate, x)
        weights, experts = logits.softmax(dim=-1).topk(self.k, dim=-1)
        if self.normalise:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return Routing(experts, weights, logits)


class SwitchRouter(Router):
    """The one expert of the highest probability, which counts that probability.

    Source: Fedus et al. 2021, "Switch Transformers", arXiv:2101.03961, equations 1 and 2; the
    jitter of the router's input in training, section 2.4 ("input jitter").

    Args:
        dims: Sizes of the model.
        n_experts: E, at least 2.
        jitter: The router's inputs are multiplied by numbers from [1 - jitter, 1 + jitter] in
            training; in [0, 1).
    """

    def __init__(self, dims: Dims, n_experts: int = 8, jitter: float = 0.01) -> None:
        super().__init__(dims, n_experts, 1)
        self.jitter = number(self, "jitter", jitter, 0, below=1)

    def route(self, x: Tensor) -> Routing:
        if self.training and self.jitter:
            x = x * torch.empty_like(x).uniform_(1 - self.jitter, 1 + self.jitter)
        logits = self.logits(self.gate, x)
        weights, experts = logits.softmax(dim=-1).max(dim=-1, keepdim=True)
        return Routing(experts, weights, logits)


class NoisyTopKRouter(Router):
    """The k experts of the highest noisy logits; they count what the softmax over them says.

    H = x W_g + ε · softplus(x W_noise), with ε from N(0, 1) for each token and expert; in
    evaluation there is no noise. Source: Shazeer et al. 2017, "Outrageously Large Neural
    Networks", arXiv:1701.06538, equations 3 to 5. Deviations: both matrices start as other
    projections do, and not at 0; the load is balanced by the loss that the layer has for every
    router.

    Args:
        dims: Sizes of the model.
        n_experts: E, at least 2.
        k: Experts of each token, at least 2 and at most E.
    """

    def __init__(self, dims: Dims, n_experts: int = 8, k: int = 2) -> None:
        super().__init__(dims, n_experts, whole(self, "k", k, 2))
        self.noise = nn.Linear(dims.d_model, n_experts, bias=False)

    def route(self, x: Tensor) -> Routing:
        logits = self.logits(self.gate, x)
        if self.training:
            spread = F.softplus(self.logits(self.noise, x))
            logits = logits + torch.randn_like(logits) * spread
        best, experts = logits.topk(self.k, dim=-1)
        return Routing(experts, best.softmax(dim=-1), logits)


RouterFactory: TypeAlias = Callable[[Dims, int], Router]
