"""What all attention over heads shares: projections, the cache, the hooks of an encoding.

Shapes: B sequences, T tokens, H heads, G key-value heads, K channels of a head, D = H·K.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.checks import made, maker, number, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.model.kernels import SDPA, Kernel, Kernels, Operands, read_weights
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers import hooks
from lightning_posenc.model.mixers.base import SERVICES, Context, Growth, Mixer
from lightning_posenc.model.mixers.qk_norm import QKNorm, normed
from lightning_posenc.positional.base import HOOKS


class MultiHead(Mixer, ABC):
    """Attention over heads, whose queries, keys and logits an encoding may change.

    A subclass joins the heads, and may say how a query and a key make a logit. In a decoder the
    keys and values may be those of another sequence: cross-attention.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0, which the hooks are told.
        n_kv_heads: G, heads of keys and values, each serving H/G query heads; None for H.
        bias: Whether the projections of queries, keys and values have a bias.
        out_bias: Whether the projection into the stream has one; None for as `bias` says.
        dropout: Probability of dropping an attention weight, in [0, 1).
        kernel: How attention is computed, from its dropout; what it does not serve goes to the
            kernel that it names `otherwise`.
        qk_norm: Makes a norm of K channels, for the queries and for the keys; None for none. The
            hooks of the encoding and the cache see queries and keys after it.
        sinks: Whether every head may attend to nothing: a learned logit, 0 at first, that stands in
            the sum below the line alone (Agarwal et al. 2025, "gpt-oss", arXiv:2508.10925, section
            2.2). On the CPU and with SDPA it costs a causal model the causal kernel.

    Raises:
        ValueError: If G does not divide H.
    """

    hooks = HOOKS
    serves = SERVICES
    remembers_turned = True
    growth = Growth(time="T²", memory="T")

    def __init__(
        self,
        dims: Dims,
        layer: int,
        *,
        n_kv_heads: int | None = None,
        bias: bool = True,
        out_bias: bool | None = None,
        dropout: float = 0.0,
        kernel: Callable[[float], Kernel] = SDPA,
        qk_norm: Callable[[int], nn.Module] | None = None,
        sinks: bool = False,
    ) -> None:
        super().__init__(dims, layer)
        n_kv_heads = dims.n_heads if n_kv_heads is None else n_kv_heads
        if dims.n_heads % whole(self, "n_kv_heads", n_kv_heads):
            raise wrong(self, "n_kv_heads", n_kv_heads, f"divide n_heads={dims.n_heads}")
        number(self, "dropout", dropout, 0, below=1)
        self.d_head = dims.d_head
        width = n_kv_heads * dims.d_head
        self.qkv = Stacked(dims.d_model, {"q": dims.d_model, "k": width, "v": width}, bias=bias)
        if qk_norm is not None:
            maker(self, "qk_norm", qk_norm, nn.Module, dims.d_head)
        self.qk_norm = None if qk_norm is None else QKNorm(dims.d_head, qk_norm)
        self.out = nn.Linear(
            dims.d_model, dims.d_model, bias=bias if out_bias is None else out_bias
        )
        self.kernel = Kernels(made(self, "kernel", kernel, Kernel, dropout))
        self.sinks = nn.Parameter(torch.zeros(dims.n_heads)) if sinks else None

    @property
    def score(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """How a query and a key make a logit, as `Operands.score`; None for their product."""
        return None

    @abstractmethod
    def join(self, x: Tensor, heads: Tensor) -> Tensor:
        """Join what the heads mixed (B, T, H, K), of the mixer's inputs (B, T, D): (B, T, D)."""

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Attend: (B, T, D) -> (B, T, D)."""
        read = self._past if context.memory is None else self._memory
        q, k, v, k_x, turned = read(x, context)
        positional = context.positional
        asked = positional.hooks(self.layer)
        site = context.site(self.layer, x, k_x, q, k, v)
        bias = hooks.bias(positional, site) if "bias" in asked else None
        rescore = hooks.rescore(positional, site) if "rescore" in asked else None
        if turned is not None:
            q = turned
        elif "transform" in asked:
            q, k = hooks.transformed(positional, site)
        if "values" in asked:
            v = hooks.values(positional, site)
        if k.shape[1] != v.shape[1]:  # a method that treats query heads apart gave each its own
            n_heads = max(k.shape[1], v.shape[1])
            k, v = (x.repeat_interleave(n_heads // x.shape[1], dim=1) for x in (k, v))
        scale = self.d_head**-0.5
        seen = context.seen_in(self.layer)
        operands = Operands(q, k, v, bias, seen, rescore, scale, self.score, self.sinks)
        mixed = self.kernel(operands)  # (B, H, T, K)
        if "output" in asked:
            told = site._replace(read_weights=partial(read_weights, operands))
            mixed = hooks.output(positional, told, mixed)
        return self.out(self.join(x, mixed.transpose(1, 2)))

    def _past(self, x: Tensor, context: Context) -> "_Read":
        """What the tokens at hand compare among themselves, and with those in the cache."""
        q, k, v = self.qkv.heads(x, self.d_head)
        if self.qk_norm is not None:
            q, k = self.qk_norm(q, k)
        positional, cache = context.positional, context.cache
        if cache is None:
            return _Read(q, k, v, x)
        turned = None
        if positional.keys_stay(self.layer):
            turned, k = hooks.transformed(positional, context.site_at_hand(self.layer, x, q, k, v))
        kept = x if positional.reads_inputs else None
        k_x, k, v = cache.extended(self.layer, kept, k, v)
        return _Read(q, k, v, k_x, turned)

    def _memory(self, x: Tensor, context: Context) -> "_Read":
        """What they compare with another sequence, whose keys and values a cache keeps."""
        (q,) = self.qkv.heads(x, self.d_head, ("q",))
        if self.qk_norm is not None:
            q = normed(self.qk_norm.q, q)
        cache, memory = context.cache, context.memory
        assert memory is not None
        kept = {} if cache is None else cache.state(self.layer)
        if "memory_k" in kept:
            return _Read(q, kept["memory_k"], kept["memory_v"], memory)
        k, v = self.qkv.heads(memory, self.d_head, ("k", "v"))
        if self.qk_norm is not None:
            k = normed(self.qk_norm.k, k)
        if cache is not None:
            cache.carry(self.layer, memory_k=k, memory_v=v)
        return _Read(q, k, v, memory)


class _Read(NamedTuple):
    """Queries (B, H, T, K), keys and values (B, G, S, K), and what the keys are made of (B, S, D).

    Args:
        turned: The queries as `transform` leaves them, where the keys are turned already; or None.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    k_x: Tensor | None
    turned: Tensor | None = None
