"""Attention whose logits are no products of tokens: made of one token, or of none.

Shapes: B sequences, T queries, S keys, N the most of them, H heads, K channels of a head, D = H·K.
"""

import math
from abc import abstractmethod
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import number, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.model.kernels import Eager, Kernels, Operands, read_weights
from lightning_posenc.model.mixers import hooks
from lightning_posenc.model.mixers.base import Context, Growth, Mixer
from lightning_posenc.positions.paper import Paper


def _paper(where: str) -> Paper:
    title = "Synthesizer: Rethinking Self-Attention in Transformer Models"
    return Paper("Tay et al.", 2021, title, "2005.00743", where)


class Synthesizer(Mixer):
    """softmax(R) v, where a subclass synthesises the logits R of queries to places in the row.

    A logit is of the key's place and not of its token, so that the model knows absolute places
    without any encoding, up to the N that it has parameters for. There are no queries and keys for
    an encoding to turn or to bias. Packed documents are refused: places are the row's.

    Source: Tay et al. 2021, arXiv:2005.00743, section 3.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        max_length: N.
        dropout: Probability of dropping an attention weight, in [0, 1).
        bias: Whether the projections of values and into the stream have a bias.
    """

    hooks = frozenset({"values", "output"})
    serves = frozenset({"causal", "bidirectional", "mask", "padding", "cache"})
    growth = Growth(time="T²", memory="T²")

    def __init__(
        self,
        dims: Dims,
        layer: int,
        max_length: int = 512,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__(dims, layer)
        self.longest = whole(self, "max_length", max_length, most=2**13)
        number(self, "dropout", dropout, 0, below=1)
        self.v = nn.Linear(dims.d_model, dims.d_model, bias=bias)
        self.out = nn.Linear(dims.d_model, dims.d_model, bias=bias)
        self.kernel = Kernels(Eager(dropout))

    @abstractmethod
    def synthesised(self, x: Tensor, first: int, n_keys: int) -> Tensor:
        """Logits (B|1, H, T, S), of the parameters' dtype or a wider one.

        Args:
            x: (B, T, D) tokens.
            first: Place of the first of them in the row.
            n_keys: S.
        """

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Mix (B, T, D) over the tokens: (B, T, D)."""
        n_queries = x.shape[1]
        v = self.v(x).unflatten(-1, (-1, self.dims.d_head)).transpose(1, 2)
        if context.cache is not None:
            _, _, v = context.cache.extended(self.layer, None, v[..., :0], v)
        # What is compared with each other is nothing: queries and keys of no channels.
        q, k = v[:, :, :n_queries, :0], v[..., :0]
        site = context.site(self.layer, x, None, q, k, v)
        v = hooks.values(context.positional, site)
        n_keys = v.shape[2]
        with torch.autocast(x.device.type, enabled=False):
            logits = self.synthesised(x, n_keys - n_queries, n_keys)
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        operands = Operands(q, k, v, logits, context.seen_in(self.layer), None, 1.0)
        site = site._replace(read_weights=partial(read_weights, operands))
        mixed = hooks.output(context.positional, site, self.kernel(operands))
        return self.out(mixed.transpose(1, 2).flatten(-2))


class DenseSynthesizer(Synthesizer):
    """R_i = W_2 relu(W_1 x_i + b_1) + b_2: each token says itself how much it looks at each place.

    Source: Tay et al. 2021, arXiv:2005.00743, "Dense Synthesizer"; each head has its own.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        max_length: N.
        dropout: Probability of dropping an attention weight, in [0, 1).
        bias: Whether the projections of values and into the stream have a bias.
    """

    source = _paper("Dense Synthesizer")
    equation = (
        r"o = \operatorname{softmax}(R)\, v, \quad R_i = W_2 \operatorname{relu}(W_1 x_i + b_1) +"
        r" b_2"
    )

    def __init__(
        self,
        dims: Dims,
        layer: int,
        max_length: int = 512,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__(dims, layer, max_length, dropout, bias)
        self.hidden = nn.Linear(dims.d_model, dims.d_model)
        self.places = nn.Parameter(torch.empty(dims.n_heads, max_length, dims.d_head))
        self.places_bias = nn.Parameter(torch.zeros(dims.n_heads, max_length))
        nn.init.normal_(self.places, std=dims.d_head**-0.5)

    def initialise(self, std: float, depth_scale: float) -> None:
        super().initialise(std, depth_scale)
        nn.init.normal_(self.places, std=std)
        nn.init.zeros_(self.places_bias)

    def synthesised(self, x: Tensor, first: int, n_keys: int) -> Tensor:
        hidden = F.relu(self.hidden(x.to(self.hidden.weight.dtype)))
        hidden = hidden.unflatten(-1, (-1, self.dims.d_head)).transpose(1, 2)
        return hidden @ self.places[:, :n_keys].mT + self.places_bias[:, None, :n_keys]


class FactorizedDenseSynthesizer(Synthesizer):
    """R_i = tile(A_i) ⊙ repeat(C_i): products of a token's a and c numbers, a·c >= N.

    Place j takes A_i[j mod a] · C_i[j // a].

    Source: Tay et al. 2021, arXiv:2005.00743, "Factorized Dense Synthesizer".

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        max_length: N.
        factor: a; None for the whole number next to the root of N.
        dropout: Probability of dropping an attention weight, in [0, 1).
        bias: Whether the projections of values and into the stream have a bias.

    Raises:
        ValueError: If there are more factors than places.
    """

    source = _paper("Factorized Dense Synthesizer")
    equation = (
        r"o = \operatorname{softmax}(R)\, v, \quad "
        r"R_{ij} = A_i[\,j \bmod a\,] \cdot C_i[\,\lfloor j / a \rfloor\,]"
    )

    def __init__(
        self,
        dims: Dims,
        layer: int,
        max_length: int = 512,
        factor: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__(dims, layer, max_length, dropout, bias)
        factor = math.isqrt(max_length) if factor is None else factor
        if whole(self, "factor", factor) > max_length:
            raise wrong(self, "factor", factor, f"be at most max_length={max_length}")
        self.factor = factor
        n_coarse = -(-max_length // factor)
        self.fine = nn.Linear(dims.d_model, dims.n_heads * factor)
        self.coarse = nn.Linear(dims.d_model, dims.n_heads * n_coarse)

    def synthesised(self, x: Tensor, first: int, n_keys: int) -> Tensor:
        x = x.to(self.fine.weight.dtype)
        place = torch.arange(n_keys, device=x.device)
        fine, coarse = (
            each(x).unflatten(-1, (self.dims.n_heads, -1)).transpose(1, 2)
            for each in (self.fine, self.coarse)
        )
        return fine[..., place % self.factor] * coarse[..., place // self.factor]


class RandomSynthesizer(Synthesizer):
    """R is a learned table of places by places, the same for all sequences.

    Source: Tay et al. 2021, arXiv:2005.00743, "Random Synthesizer"; it starts at N(0, 1).

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        max_length: N.
        learned: Whether the table learns; else it stays as it was drawn.
        dropout: Probability of dropping an attention weight, in [0, 1).
        bias: Whether the projections of values and into the stream have a bias.
    """

    source = _paper("Random Synthesizer")
    equation = (
        r"o = \operatorname{softmax}(R)\, v, \quad R \in \mathbb{R}^{N \times N} \text{ learned}"
    )

    def __init__(
        self,
        dims: Dims,
        layer: int,
        max_length: int = 512,
        learned: bool = True,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__(dims, layer, max_length, dropout, bias)
        table = torch.randn(dims.n_heads, max_length, max_length)
        if learned:
            self.table: Tensor = nn.Parameter(table)
        else:
            self.register_buffer("table", table)

    def synthesised(self, x: Tensor, first: int, n_keys: int) -> Tensor:
        return self.table[:, first : first + x.shape[1], :n_keys].unsqueeze(0)


class FactorizedRandomSynthesizer(Synthesizer):
    """R = R_1 R_2^T: a learned table of places by places, of a low rank.

    Source: Tay et al. 2021, arXiv:2005.00743, "Factorized Random Synthesizer"; the logits start at
    variance 1.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        max_length: N.
        rank: Columns of R_1 and R_2.
        dropout: Probability of dropping an attention weight, in [0, 1).
        bias: Whether the projections of values and into the stream have a bias.
    """

    source = _paper("Factorized Random Synthesizer")
    equation = r"o = \operatorname{softmax}\!\left( R_1 R_2^{\top} \right) v"

    def __init__(
        self,
        dims: Dims,
        layer: int,
        max_length: int = 512,
        rank: int = 8,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__(dims, layer, max_length, dropout, bias)
        whole(self, "rank", rank, most=4096)
        self.of_queries = nn.Parameter(torch.empty(dims.n_heads, max_length, rank))
        self.of_keys = nn.Parameter(torch.empty(dims.n_heads, max_length, rank))
        for table in (self.of_queries, self.of_keys):
            nn.init.normal_(table, std=rank**-0.25)

    def synthesised(self, x: Tensor, first: int, n_keys: int) -> Tensor:
        dtype = torch.promote_types(self.of_queries.dtype, torch.float32)
        queries = self.of_queries[:, first : first + x.shape[1]].to(dtype)
        return (queries @ self.of_keys[:, :n_keys].to(dtype).mT).unsqueeze(0)
