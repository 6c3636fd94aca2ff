"""DeBERTa's disentangled attention.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, D = H·K, N relative vectors.
"""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.bias.lookup import look_up
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places, counted, offsets


class DeBERTa(PositionalEncoding):
    """Adds logits of content against offset and of offset against content.

    logits_ij = (q_i · k_j + q_i · W_k P_δ(i,j) + k_j · (W_q P_δ(i,j) + b)) / sqrt(3K).

    δ(i, j) = i - j + max_distance, clipped to [0, 2·max_distance - 1], is a row of the table P of
    relative embeddings, which all layers share; W_q, W_k and b belong to a layer. Positions off
    the lattice are rounded.

    Source: He et al. 2021, "DeBERTa: Decoding-enhanced BERT with Disentangled Attention",
    arXiv:2006.03654, equations 2-4; the buckets: the authors' code of version 2, where offsets
    beyond ±(max_distance - 1) count as that (Hugging Face's lets keys so far to the right read row
    0, which nothing else reads; within max_distance tokens both are the same). Deviation: the
    third term reads row δ(i, j), as the authors' code and so every checkpoint does, where
    equation 4 writes δ(j, i). No enhanced mask decoder, and no sharing of W_q and W_k with the
    projections of content, which an encoding does not see.

    Args:
        dims: Sizes of the model.
        max_distance: Offsets beyond it share the last embedding; at least 1; the paper's models
            have 512.
        position_buckets: Number of buckets of a side, as in version 2 (256), at least 4 and below
            max_distance: offsets below half of them have their own embedding, larger ones share
            more and more, up to max_distance. None gives every offset its own.
        std: Standard deviation of the relative embeddings at initialisation; None takes
            `dims.embed_std`; at least 0.

    Raises:
        ValueError: If there are no distances, or fewer distances than buckets.
    """

    shift_invariant = True

    source = Paper(
        "He et al.",
        2021,
        "DeBERTa: Decoding-enhanced BERT with Disentangled Attention",
        "2006.03654",
        "equations 2-4",
    )
    equation = (
        r"\ell_{ij} = \frac{q_i \cdot k_j + q_i \cdot W_k P_{\delta(i,j)}"
        r" + k_j \cdot (W_q P_{\delta(i,j)} + b)}{\sqrt{3K}}"
    )

    reads_distances = True

    def __init__(
        self,
        dims: Dims,
        max_distance: int = 128,
        position_buckets: int | None = None,
        std: float | None = None,
    ) -> None:
        super().__init__(dims)
        self.max_distance = whole(self, "max_distance", max_distance)
        if position_buckets is not None:  # one at least for the farthest, which has the last
            whole(self, "position_buckets", position_buckets, 4, max_distance - 1)
        self.position_buckets = position_buckets
        self.side = position_buckets or max_distance
        width, shape = dims.d_model, (dims.n_layers, dims.d_model, dims.d_model)
        self.table = nn.Parameter(torch.empty(2 * self.side, width))
        self.key_projection = nn.Parameter(torch.empty(shape))
        self.query_projection = nn.Parameter(torch.empty(shape))
        self.query_bias = nn.Parameter(torch.zeros(dims.n_layers, width))
        nn.init.normal_(
            self.table, std=number(self, "std", dims.embed_std if std is None else std, 0)
        )
        for projection in (self.key_projection, self.query_projection):
            nn.init.normal_(projection, std=width**-0.5)

    def prepare(self, q_places: Places, k_places: Places) -> Tensor:
        """(B|1, T, S) row of the table that serves each pair."""
        delta = counted(offsets(q_places, k_places), k_places)
        delta = delta.round().long() if delta.is_floating_point() else delta
        return (self.bucket(delta) + self.side).clamp(0, 2 * self.side - 1)

    def bucket(self, delta: Tensor) -> Tensor:
        """Signed number of the bucket of whole offsets; itself where every offset has its own."""
        if self.position_buckets is None:
            return delta
        exact, last = self.position_buckets // 2, self.max_distance - 1
        distance = delta.abs().clamp(max=last)
        ratio = distance.clamp(min=exact).float() / exact
        ratio = ratio.log() / ratio.new_tensor(last / exact).log()  # 1 at the last
        far = (ratio * (exact - 1)).ceil().long() + exact
        return torch.where(distance <= exact, delta, far * delta.sign())

    def planes(self, layer: int) -> None:
        """None: queries are scaled alone."""

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        return site.q * 3**-0.5, site.k

    def bias(self, site: Site) -> Tensor:
        scale, dtype = (3 * self.dims.d_head) ** -0.5, site.q.dtype
        q, k = site.q * scale, site.k * scale
        table = self.table.to(dtype)
        as_keys = table @ self.key_projection[site.layer].to(dtype).t()
        as_queries = table @ self.query_projection[site.layer].to(dtype).t()
        as_queries = as_queries + self.query_bias[site.layer].to(dtype)
        as_keys, as_queries = (  # (H, K, N)
            x.unflatten(-1, (self.dims.n_heads, -1)).permute(1, 2, 0) for x in (as_keys, as_queries)
        )
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
        content_to_position = look_up(q @ as_keys, site.prepared)
        position_to_content = look_up(k @ as_queries, site.prepared.transpose(1, 2))
        return content_to_position + position_to_content.transpose(-2, -1)
