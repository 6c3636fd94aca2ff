"""Multi-head attention with positional hooks.

Shapes: B sequences, T tokens, H heads, G key-value heads, K channels of a head, D = H·K.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from lightning_posenc.checks import made, maker, number, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.model.kernels import SDPA, Kernel, Kernels, Operands, read_weights
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers.base import SERVICES, Context, Mixer
from lightning_posenc.model.mixers.qk_norm import QKNorm
from lightning_posenc.positional.base import HOOKS


class Attention(Mixer):
    """Self-attention, whose queries, keys and logits an encoding may change.

    Source: Vaswani et al. 2017, arXiv:1706.03762; grouped queries: Ainslie et al. 2023,
    arXiv:2305.13245.

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

    Raises:
        ValueError: If G does not divide H.
    """

    hooks = HOOKS
    serves = SERVICES

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
    ) -> None:
        super().__init__(dims, layer)
        n_kv_heads = dims.n_heads if n_kv_heads is None else n_kv_heads
        if dims.n_heads % whole(self, "n_kv_heads", n_kv_heads):
            raise wrong(self, "n_kv_heads", n_kv_heads, f"divide n_heads={dims.n_heads}")
        number(self, "dropout", dropout, 0, below=1)
        width = n_kv_heads * dims.d_head
        self.qkv = Stacked(dims.d_model, {"q": dims.d_model, "k": width, "v": width}, bias=bias)
        if qk_norm is not None:
            maker(self, "qk_norm", qk_norm, nn.Module, dims.d_head)
        self.qk_norm = None if qk_norm is None else QKNorm(dims.d_head, qk_norm)
        self.out = nn.Linear(
            dims.d_model, dims.d_model, bias=bias if out_bias is None else out_bias
        )
        self.kernel = Kernels(made(self, "kernel", kernel, Kernel, dropout))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Attend: (B, T, D) -> (B, T, D)."""
        q, k, v = (
            part.unflatten(-1, (-1, self.dims.d_head)).transpose(1, 2)
            for part in self.qkv(x).split(list(self.qkv.widths.values()), dim=-1)
        )
        if self.qk_norm is not None:
            q, k = self.qk_norm(q, k)
        positional, cache = context.positional, context.cache
        k_x: Tensor | None = x
        turned = None
        if cache is not None:
            if positional.keys_stay(self.layer):
                turned, k = positional.transform(context.site_at_hand(self.layer, x, q, k, v))
            kept = x if positional.reads_inputs else None
            k_x, k, v = cache.extended(self.layer, kept, k, v)
        site = context.site(self.layer, x, k_x, q, k, v)
        bias = positional.bias(site)
        rescore = positional.rescore(site)
        q, k = positional.transform(site) if turned is None else (turned, k)
        v = positional.values(site)
        if k.shape[1] != v.shape[1]:  # a method that treats query heads apart gave each its own
            n_heads = max(k.shape[1], v.shape[1])
            k, v = (x.repeat_interleave(n_heads // x.shape[1], dim=1) for x in (k, v))
        scale = self.dims.d_head**-0.5
        operands = Operands(q, k, v, bias, context.seen_in(self.layer), rescore, scale)
        mixed = self.kernel(operands)  # (B, H, T, K)
        mixed = positional.output(
            site._replace(read_weights=partial(read_weights, operands)), mixed
        )
        return self.out(mixed.transpose(1, 2).flatten(-2))
