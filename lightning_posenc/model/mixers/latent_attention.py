"""Attention whose keys and values are all made of one small vector a token.

Shapes: B sequences, T queries, S keys, H heads, D = d_model, Z channels of the vector (latent),
R = D/H channels that an encoding turns, C that it does not, V = D/H of a value.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from lightning_posenc.checks import MOST_WIDTH, made, number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.kernels import SDPA, Kernel, Kernels, Operands, read_weights
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers import hooks
from lightning_posenc.model.mixers.base import SERVICES, Context, Growth, Mixer
from lightning_posenc.model.mixers.qk_norm import normed
from lightning_posenc.model.rms_norm import RMSNorm
from lightning_posenc.positional.base import HOOKS
from lightning_posenc.positions.paper import Paper


class LatentAttention(Mixer):
    """Multi-head latent attention: k = [W_uk z; turned(W_kr x)], v = W_uv z, with z = norm(W_z x).

    An encoding's `transform` is given R channels of each query, and R channels of a key that all
    heads share: what it turns could not be made of z afterwards, so that position is decoupled from
    content. A cache keeps z and the turned channels, Z + R numbers a token and not 2·D; where the
    encoding does nothing but turn, queries are then compared with z itself, W_uk and W_uv being
    taken over to their side. Logits are divided by √(C + R). Source: DeepSeek-AI 2024,
    "DeepSeek-V2", arXiv:2405.04434, equations 9 to 19; the norms as in its published code.
    T tokens cost O(T²) time and O(T) memory.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0, which the hooks are told.
        kv_rank: Z, at least 1; None for the paper's 4·R.
        q_rank: Channels of a vector that queries are made of, likewise; None for x itself.
        d_content: C, at least 1; None for R. (The paper has 2·R.)
        dropout: Probability of dropping an attention weight, in [0, 1).
        kernel: How attention is computed, as `Attention` takes it.
    """

    hooks = HOOKS
    serves = SERVICES - {"memory"}
    remembers_turned = True
    source = Paper(
        "DeepSeek-AI", 2024,
        "DeepSeek-V2: A Strong, Economical, and Efficient Mixture-of-Experts Language Model",
        "2405.04434", "equations 9 to 19",
    )  # fmt: skip
    equation = (
        r"k = \left[ W_{uk} z \,\Vert\, R\,(W_{kr} x) \right], \quad v = W_{uv} z, \quad z ="
        r" \operatorname{norm}(W_z x)"
    )
    growth = Growth(time="T²", memory="T")

    def __init__(
        self,
        dims: Dims,
        layer: int,
        *,
        kv_rank: int | None = None,
        q_rank: int | None = None,
        d_content: int | None = None,
        dropout: float = 0.0,
        kernel: Callable[[float], Kernel] = SDPA,
    ) -> None:
        super().__init__(dims, layer)
        width, n_heads, d_head = dims.d_model, dims.n_heads, dims.d_head
        kv_rank = 4 * d_head if kv_rank is None else kv_rank
        whole(self, "kv_rank", kv_rank, most=MOST_WIDTH)
        self.d_content = d_head if d_content is None else d_content
        whole(self, "d_content", self.d_content, most=MOST_WIDTH)
        number(self, "dropout", dropout, 0, below=1)
        self.q_latent: nn.Module = nn.Identity()
        self.q_norm: nn.Module = nn.Identity()
        if q_rank is not None:
            whole(self, "q_rank", q_rank, most=MOST_WIDTH)
            self.q_latent = nn.Linear(width, q_rank, bias=False)
            self.q_norm = RMSNorm(q_rank, eps=1e-6)
        of_queries = {"q": n_heads * self.d_content, "q_turned": n_heads * d_head}
        self.q = Stacked(width if q_rank is None else q_rank, of_queries, bias=False)
        self.kv_latent = Stacked(width, {"latent": kv_rank, "k_turned": d_head}, bias=False)
        self.kv_norm = RMSNorm(kv_rank, eps=1e-6)
        of_latents = {"k": n_heads * self.d_content, "v": width}
        self.kv = Stacked(kv_rank, of_latents, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.kernel = Kernels(made(self, "kernel", kernel, Kernel, dropout))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Attend: (B, T, D) -> (B, T, D)."""
        q, q_turned = self._heads(self.q, normed(self.q_norm, self.q_latent(x)))
        latent, k_turned = self.kv_latent.parts(x.unsqueeze(1))  # (B, 1, T, Z), (B, 1, T, R)
        latent = normed(self.kv_norm, latent)
        positional, cache = context.positional, context.cache
        k_x: Tensor | None = x
        turned = None
        if cache is not None:
            if positional.keys_stay(self.layer):
                site = context.site_at_hand(self.layer, x, q_turned, k_turned, latent)
                turned = hooks.transformed(positional, site)
                k_turned = turned[1]
            kept = x if positional.reads_inputs else None
            k_x, k_turned, latent = cache.extended(self.layer, kept, k_turned, latent)
        as_they_are = cache is not None and positional.hooks(self.layer) <= {"transform"}
        k, v = (latent, latent) if as_they_are else self._heads(self.kv, latent.squeeze(1))
        site = context.site(self.layer, x, k_x, q_turned, k_turned, v)
        bias, rescore = hooks.bias(positional, site), hooks.rescore(positional, site)
        if turned is None:
            q_turned, k_turned = hooks.transformed(positional, site)
        else:
            q_turned = turned[0]
        v = hooks.values(positional, site)
        if as_they_are:  # compared with queries that W_uk has been taken over to
            q = q @ self._of_latents("k")  # (B, H, T, Z)
        n_heads = max(k.shape[1], k_turned.shape[1])
        k, v, k_turned = (part.expand(-1, n_heads, -1, -1) for part in (k, v, k_turned))
        operands = Operands(
            torch.cat([q, q_turned], dim=-1),
            torch.cat([k, k_turned], dim=-1),
            v,
            bias,
            context.seen_in(self.layer),
            rescore,
            (self.d_content + self.dims.d_head) ** -0.5,
        )
        mixed = self.kernel(operands)
        if as_they_are:
            mixed = mixed @ self._of_latents("v").mT
        site = site._replace(read_weights=partial(read_weights, operands))
        mixed = hooks.output(positional, site, mixed)
        return self.out(mixed.transpose(1, 2).flatten(-2))

    def _heads(self, project: Stacked, x: Tensor) -> list[Tensor]:
        """The heads of each projection of (B, T, …), (B, H, T, …)."""
        n_heads = self.dims.n_heads
        return [part.unflatten(-1, (n_heads, -1)).transpose(1, 2) for part in project.parts(x)]

    def _of_latents(self, name: str) -> Tensor:
        """W_uk or W_uv, head by head: (H, C, Z) or (H, V, Z)."""
        rows = self.kv.weight.split(list(self.kv.widths.values()))
        return dict(zip(self.kv.widths, rows, strict=True))[name].unflatten(
            0, (self.dims.n_heads, -1)
        )
