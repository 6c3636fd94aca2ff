"""What mixers share that carry a state from token to token instead of keeping the tokens.

Shapes: B sequences, T tokens, H heads, K channels of a head, V of a value, D = d_model.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lightning_posenc.dims import Dims
from lightning_posenc.model.kernels import Operands, TellsWeights
from lightning_posenc.model.kernels.running_sums import running_sums
from lightning_posenc.model.kernels.tells_weights import log_products
from lightning_posenc.model.mixers import hooks
from lightning_posenc.model.mixers.base import Context, Growth, Mixer


class Recurrent(Mixer, ABC):
    """Mixes by sums of products (q_i · k_j) v_j, which a state of the past gives in linear time.

    An encoding may turn queries and keys and change values. Decoding remembers the state alone, in
    memory that does not grow: so what a token adds to it must never change, as of RoPE, whose keys
    stay as they are turned once.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
    """

    hooks = frozenset({"transform", "values"})
    remembers_turned = True
    growth = Growth(time="T", memory="T")

    def __init__(self, dims: Dims, layer: int) -> None:
        super().__init__(dims, layer)
        self.telling = TellsWeights()

    def forward(self, x: Tensor, context: Context) -> Tensor:
        mixed = self.mix(x, context)
        if context.cache is not None:
            context.cache.advance(self.layer, x.shape[1])
        return mixed

    @abstractmethod
    def mix(self, x: Tensor, context: Context) -> Tensor:
        """Mix (B, T, D) over the tokens: (B, T, D)."""

    def changed(
        self, x: Tensor, context: Context, q: Tensor, k: Tensor, v: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the encoding makes of queries, keys and values (B, H, T, K) at hand.

        Raises:
            ValueError: If there is a cache, and what it makes of them changes with later tokens.
        """
        positional = context.positional
        asked = positional.hooks(self.layer)
        if not asked:
            return q, k, v
        if context.cache is None:
            site = context.site(self.layer, x, x, q, k, v)
        elif asked == {"transform"} and positional.keys_stay(self.layer):
            site = context.site_at_hand(self.layer, x, q, k, v)
        else:
            raise ValueError(
                f"{type(self).__name__}: carries a state on, and {type(positional).__name__} may "
                "change what is in it as tokens follow: decode without a cache (use_cache=False)"
            )
        return *hooks.transformed(positional, site), hooks.values(positional, site)

    def hidden(self, context: Context, k: Tensor) -> Tensor:
        """Keys (B, H, T, K), those of padding 0. A causal model's padding nobody sees anyway."""
        lengths = context.k_places.lengths
        if lengths is None or self.dims.causal:
            return k
        real = torch.arange(k.shape[2], device=k.device) < lengths[:, None]
        return k * real[:, None, :, None]

    def show(self, context: Context, q: Tensor, k: Tensor, v: Tensor) -> None:
        """Tell who watches that the weights are q·k / Σ q·k, of features (B, H, T, M).

        Where a cache holds only their sum, there are none to be told.
        """
        if context.cache is None:
            seen = context.seen_in(self.layer)
            self.telling(Operands(q, k, v, None, seen, None, 1.0, log_products))

    def summed(
        self,
        context: Context,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        log_decay: Tensor | None = None,
        name: str = "state",
    ) -> Tensor:
        """Σ_j (q_i · k_j) v_j over all tokens that token i sees, (B, H, T, V), in float32.

        Args:
            context: Of the forward pass, whose cache carries the state on.
            q: (B, H, T, K).
            k: (B, H, T, K), 0 where it is hidden.
            v: (B, H, T, V).
            log_decay: (B|1, H|1, T), of a causal model, as `running_sums` takes it.
            name: Of the state in the cache, where a layer has several.
        """
        documents, cache = context.k_places.documents, context.cache
        if self.dims.causal:
            state = None if cache is None else cache.state(self.layer).get(name)
            out, state = running_sums(q, k, v, log_decay, documents, state)
            if cache is not None:
                cache.carry(self.layer, **{name: state})
            return out
        dtype = torch.promote_types(q.dtype, torch.float32)
        q, k, v = (x.to(dtype) for x in (q, k, v))
        if documents is None:
            with torch.autocast(q.device.type, enabled=False):
                return q @ (k.mT @ v)
        past, _ = running_sums(q, k, v, documents=documents)
        future, _ = running_sums(q.flip(2), k.flip(2), v.flip(2), documents=documents.flip(1))
        return past + future.flip(2) - (q * k).sum(dim=-1, keepdim=True) * v  # itself is in both
