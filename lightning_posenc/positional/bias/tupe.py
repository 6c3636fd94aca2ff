"""Content and position, untied."""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.learned_absolute import LearnedAbsolute
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.bias.mlp import in_float32
from lightning_posenc.positional.bias.t5 import T5Bias
from lightning_posenc.positional.by_distance import written_out
from lightning_posenc.positional.resampling import Resize
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places


class TUPE(PositionalEncoding):
    """Adds logits between positions, by projections of their own, and a bias by bucket.

    logits_ij = q_i · k_j / sqrt(2K) + (p_i U_Q) · (p_j U_K) / sqrt(2K) + b[bucket(i - j)].

    p is a learned vector for each position, normalised; U_Q and U_K are projections of its own for
    each head. The positional terms are the same in all layers.

    Source: Ke, He, Liu 2021, "Rethinking Positional Encoding in Language Pre-training",
    arXiv:2006.15595, and the authors' code. Deviation: left out are the constant that the paper's
    theta_1 gives to the first token's row, which changes no weight, and the bias of U_K, which
    changes none without `untie_first`: it adds the same to all keys of a query. With `untie_first`
    the authors' bias counts, as theta_2 stands in its place at the first key.

    Args:
        dims: Sizes of the model.
        max_length: Number of vectors p: a hard maximum.
        relative: With b, T5's buckets (TUPE-R); otherwise without (TUPE-A).
        untie_first: The token at position 0 ([CLS]) attends to all by content alone, and all
            others to it by content and one learned number for each head (theta_2).
        n_buckets: Of b; see `T5Bias`.
        max_distance: Of b.
        std: Standard deviation of U_Q and U_K at initialisation; None takes 1 / sqrt(D), with
            which the positional logits start at about 0.7; at least 0.
        resize: What to do with a checkpoint's vectors for another length; see `LearnedAbsolute`.

    Raises:
        ValueError: On a position beyond the table.
    """

    source = Paper(
        "Ke, He, Liu", 2021, "Rethinking Positional Encoding in Language Pre-training", "2006.15595"
    )
    equation = (
        r"\ell_{ij} = \frac{q_i \cdot k_j}{\sqrt{2K}}"
        r" + \frac{(p_i U_Q) \cdot (p_j U_K)}{\sqrt{2K}} + b\!\left[ \operatorname{bucket}(i - j)"
        r" \right]"
    )

    def __init__(
        self,
        dims: Dims,
        max_length: int = 512,
        relative: bool = False,
        untie_first: bool = False,
        n_buckets: int = 32,
        max_distance: int = 128,
        std: float | None = None,
        resize: Resize = "resample",
    ) -> None:
        super().__init__(dims)
        std = number(self, "std", dims.d_model**-0.5 if std is None else std, 0)
        whole(self, "n_buckets", n_buckets, 4)
        whole(self, "max_distance", max_distance)
        self.absolute = LearnedAbsolute(dims, max_length, resize=resize)
        self.norm = nn.LayerNorm(dims.d_model)
        self.query = nn.Linear(dims.d_model, dims.d_model)
        self.key = nn.Linear(dims.d_model, dims.d_model, bias=False)
        nn.init.zeros_(self.query.bias)
        for linear in (self.query, self.key):
            nn.init.normal_(linear.weight, std=std)
        self.relative = T5Bias(dims, n_buckets, max_distance) if relative else None
        self.theta = nn.Parameter(torch.randn(dims.n_heads)) if untie_first else None

    def check(self, places: Places) -> None:
        super().check(places)
        self.absolute.check(places)

    def prepare(self, q_places: Places, k_places: Places) -> Tensor:
        """(B|1, H, T, S), for all layers."""
        q_pos, k_pos = q_places.values, k_places.values
        q, k = self._projected(q_pos, self.query), self._projected(k_pos, self.key)
        bias = q @ k.transpose(-2, -1) * (2 * self.dims.d_head) ** -0.5
        if self.relative is not None:
            bias = bias + written_out(self.relative.prepare(q_places, k_places)[0])
        if self.theta is None:
            return bias
        from_first, to_first = q_pos[:, None, :, None] == 0, k_pos[:, None, None, :] == 0
        bias = torch.where(to_first, self.theta.float().view(-1, 1, 1), bias)
        return torch.where(from_first, 0.0, bias)

    def planes(self, layer: int) -> None:
        """None: queries are scaled alone."""

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        return site.q * 2**-0.5, site.k

    def bias(self, site: Site) -> Tensor:
        bias: Tensor = site.prepared
        return bias

    def _projected(self, positions: Tensor, linear: nn.Linear) -> Tensor:
        """(B|1, H, T, K), in float32."""
        p = in_float32(self.norm, self.absolute.vectors(positions).float())
        return in_float32(linear, p).unflatten(-1, (self.dims.n_heads, -1)).transpose(1, 2)
