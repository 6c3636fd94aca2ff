"""A feed-forward that is many, of which each token has a few.

Shapes: B sequences, T tokens, D = d_model, F = d_ff, E experts, k of them for each token, C places
of an expert in a sequence.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lightning_posenc.checks import MOST_WIDTH, is_a, made, number, whole
from lightning_posenc.compat.torch import in_backward
from lightning_posenc.dims import Dims
from lightning_posenc.model.feed_forward.base import FeedForward, FeedForwardFactory
from lightning_posenc.model.feed_forward.experts import Experts
from lightning_posenc.model.feed_forward.routers import Router, RouterFactory, TopKRouter
from lightning_posenc.model.feed_forward.routing import Load, Routing
from lightning_posenc.positions import Places


class MixtureOfExperts(FeedForward):
    """Σ over a token's k experts of weight · expert(x), and a loss that keeps all experts busy.

    Sequences do not compete: with a capacity, each of n tokens has C = ceil(capacity · k · n / E)
    places in every expert, taken in the order of the tokens; who finds none gets nothing from that
    expert, and the residual stream alone carries it. In evaluation nobody is dropped, so that a
    token's output depends on no other token, and a cache on nothing.

    Padding is sent as tokens are, but counts nowhere. Losses are those of all ranks' tokens
    together, of one forward pass: with accumulated gradients each part is balanced by itself.

    Source: Shazeer et al. 2017, arXiv:1701.06538; capacity, expert dropout and balance: Fedus et
    al. 2021, "Switch Transformers", arXiv:2101.03961, equations 3 to 6; the loss on the router's
    logits: Zoph et al. 2022, "ST-MoE", arXiv:2202.08906, equation 5; shared experts: Dai et al.
    2024, "DeepSeekMoE", arXiv:2401.06066, equation 9; counts of the global batch: Qiu et al. 2025,
    arXiv:2501.11873. Deviations: places are taken in the order of tokens for k above 1 too, where
    GShard serves all first choices before any second, which tells of the future.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        n_experts: E, at least 2.
        router: Makes what chooses, of dims and E: SwitchRouter, NoisyTopKRouter or TopKRouter; None
            for the last.
        d_ff: F of one expert, at least 1; None for 8/3·D if gated, else 4·D.
        gated: Whether experts are SwiGLUs, and not MLPs; both without biases.
        activation: Of the experts; None for SiLU if gated, else GELU.
        capacity: Places of an expert in training over those that it needs where all have the same
            load, above 0; None if nobody is dropped.
        dropout: Probability of dropping a hidden number of an expert, in [0, 1).
        shared: Makes a feed-forward that every token has besides, of dims and layer; None for none.
        balance: Weight of the loss of unbalance, not negative.
        z: Weight of the mean squared log-sum-exp of the router's logits, not negative.
    """

    reads_places = True

    def __init__(
        self,
        dims: Dims,
        layer: int,
        n_experts: int = 8,
        router: RouterFactory | None = None,
        d_ff: int | None = None,
        gated: bool = True,
        activation: Callable[[], nn.Module] | None = None,
        capacity: float | None = None,
        dropout: float = 0.0,
        shared: FeedForwardFactory | None = None,
        balance: float = 0.01,
        z: float = 0.001,
    ) -> None:
        super().__init__(dims, layer)
        # Not a default itself: jsonargparse would hand its `k` on to whatever a config names.
        router = TopKRouter if router is None else router
        whole(self, "n_experts", n_experts, 2)
        self.router: Router = made(self, "router", router, Router, dims, n_experts)
        usual = (
            max(8 * dims.d_model // 3, 1) if is_a(self, "gated", gated, bool) else 4 * dims.d_model
        )
        d_ff = usual if d_ff is None else whole(self, "d_ff", d_ff, most=4 * MOST_WIDTH)
        if activation is None:
            activation = nn.SiLU if gated else nn.GELU
        nonlinearity = made(self, "activation", activation, nn.Module)
        self.capacity = None if capacity is None else number(self, "capacity", capacity, above=0)
        number(self, "dropout", dropout, 0, below=1)
        self.experts = Experts(dims, n_experts, d_ff, gated, nonlinearity, dropout)
        self.shared: FeedForward | None = None
        if shared is not None:
            self.shared = made(self, "shared", shared, FeedForward, dims, layer)
        self.balance = number(self, "balance", balance, 0)
        self.z = number(self, "z", z, 0)
        self._load: Load | None = None

    def forward(self, x: Tensor, places: Places | None = None) -> Tensor:
        """Apply to (B, T, D).

        Args:
            x: (B, T, D).
            places: Where the tokens are, and how many of each row are real; None if all are.
        """
        routing = self.router(x)
        real = None if places is None else real_tokens(places, x.shape[1])
        if self.training:
            load = Load.of(routing, real)
            # Where a checkpointed block is computed once more, the loss is long taken.
            if torch.compiler.is_compiling() or not in_backward():
                self._load = load
        if self.training and self.capacity is not None:
            found = self._in_places(x, routing, real)
        else:
            found = self._sorted(x, routing)
        mixed = (routing.weights.unsqueeze(-1) * found).sum(dim=2).to(found.dtype)
        return mixed if self.shared is None else mixed + self.shared(x)

    def penalty(self) -> Tensor | None:
        """The losses of the last forward pass in training, once; all ranks must ask."""
        load, self._load = self._load, None
        if load is None or not (self.balance or self.z):
            return None
        load = load.of_all_ranks()
        return self.balance * load.unbalance() + self.z * load.z()

    def initialise(self, std: float, depth_scale: float) -> None:
        if depth_scale != 1:
            nn.init.normal_(self.experts.out.weight, std=std * depth_scale)
        if self.shared is not None:
            self.shared.initialise(std, depth_scale)

    def places_of(self, length: int) -> int:
        """C of a sequence of so many tokens, if there is a capacity."""
        assert self.capacity is not None
        share = self.capacity * self.router.k / self.router.n_experts
        return min(math.ceil(share * length), length)

    def kept(self, ranks: Tensor, real: Tensor | None) -> Tensor:
        """(B, T, k), which choices find a place in training; padding finds none.

        Args:
            ranks: (B, T, k), as `Routing.ranks` gives them.
            real: (B, T), False for padding; None if there is none.
        """
        length = ranks.shape[1]
        if self.capacity is None:
            kept = torch.ones_like(ranks, dtype=torch.bool)
        elif real is None:
            kept = ranks < self.places_of(length)
        else:
            of_length = [self.places_of(n) for n in range(length + 1)]
            places = torch.tensor(of_length, device=real.device)[real.sum(dim=1)]
            kept = ranks < places[:, None, None]
        return kept if real is None else kept & real.unsqueeze(-1)

    def _sorted(self, x: Tensor, routing: Routing) -> Tensor:
        """What a token's experts make of it, (B, T, k, D), whatever their load."""
        experts = routing.experts.flatten()  # (B·T·k,)
        order = experts.argsort(stable=True)
        numbers = torch.arange(routing.n_experts, device=x.device)
        ends = torch.searchsorted(experts[order], numbers, right=True)
        found = self.experts(x.flatten(0, 1)[order // self.router.k], ends)
        return found[order.argsort()].view(*routing.experts.shape, x.shape[-1])

    def _in_places(self, x: Tensor, routing: Routing, real: Tensor | None) -> Tensor:
        """The same, and 0 of those experts in which a token has found no place."""
        n_sequences, n_experts, places = len(x), routing.n_experts, self.places_of(x.shape[1])
        ranks = routing.ranks(real)
        rows = torch.arange(n_sequences, device=x.device)[:, None, None]
        index = (routing.experts * n_sequences + rows) * places + ranks
        beyond = n_experts * n_sequences * places
        index = torch.where(self.kept(ranks, real), index, beyond).flatten()
        tokens = x.unsqueeze(2).expand(-1, -1, self.router.k, -1).flatten(0, 2)
        taken = x.new_zeros(beyond + 1, x.shape[-1]).index_copy(0, index, tokens)
        found = self.experts(taken[:-1].unflatten(0, (n_experts, -1))).flatten(0, 1)
        found = torch.cat([found, found.new_zeros(1, found.shape[-1])])
        return found[index].view(*routing.experts.shape, x.shape[-1])


def real_tokens(places: Places, length: int) -> Tensor | None:
    """(B, T), False for padding; None if there is none."""
    if places.lengths is None:
        return None
    return torch.arange(length, device=places.lengths.device) < places.lengths.unsqueeze(1)
