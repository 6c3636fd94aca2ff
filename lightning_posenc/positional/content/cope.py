"""Contextual position encoding."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Rescore, Site
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.recording import is_recorded


class CoPE(PositionalEncoding):
    """Counts only the tokens that a learned gate lets count, and adds a vector for that count.

    logits_ij + q_i · e[p_ij], with p_ij = sum over k = j..i of sigmoid(logits_ik), at most
    max_position; between whole positions q_i · e is interpolated. The vectors e are shared by the
    heads of a layer, the gates are not.

    Source: Golovneva et al. 2024, "Contextual Position Encoding: Learning to Count What's
    Important", arXiv:2405.18719; the listing of its appendix B gates by the scaled and masked
    logits and does not divide q · e by sqrt(K). A hidden key's gate is 0. Deviation: e does not
    start at zero; beside another encoding the gates read the logits as they are by then.

    Args:
        dims: Sizes of the model, which must be causal.
        max_position: The largest position, at least 1, which all farther ones share; the table has
            one row more, as 0 is a position.
        std: Standard deviation of the vectors e; None takes 1 / sqrt(K); at least 0.

    Raises:
        ValueError: In a bidirectional model, or if there are no positions.
    """

    shift_invariant = True

    source = Paper(
        "Golovneva et al.",
        2024,
        "Contextual Position Encoding: Learning to Count What's Important",
        "2405.18719",
        "appendix B",
    )
    equation = (
        r"\ell_{ij} \leftarrow \ell_{ij} + q_i \cdot e[p_{ij}], \quad "
        r"p_{ij} = \min\!\left( p_{\max},\; \sum_{k=j}^{i} \sigma(\ell_{ik}) \right)"
    )

    axes = None

    crosses = False

    def __init__(self, dims: Dims, max_position: int = 63, std: float | None = None) -> None:
        super().__init__(dims)
        if not dims.causal:
            raise ValueError(
                "CoPE: counts from a query back over the tokens that it sees; with the future in "
                "sight the count has no start: use a causal model"
            )
        self.max_position = whole(self, "max_position", max_position)
        self.table = nn.Parameter(torch.empty(dims.n_layers, max_position + 1, dims.d_head))
        nn.init.normal_(
            self.table, std=number(self, "std", dims.d_head**-0.5 if std is None else std, 0)
        )

    def rescore(self, site: Site) -> Rescore:
        return partial(self._counted, site)

    def _counted(self, site: Site, logits: Tensor) -> Tensor:
        position = _suffix_sums(logits.float().sigmoid()).clamp(max=self.max_position)
        low = position.detach().floor()
        share = position - low  # carries the gradient to the gates
        scores = (site.q @ self.table[site.layer].to(site.q.dtype).t()).float()  # (B, H, T, P)
        rises = F.pad(scores.diff(dim=-1), (0, 1))  # to the next whole position
        index = low.long()
        return logits + torch.addcmul(scores.gather(-1, index), rises.gather(-1, index), share)


class _SuffixSums(torch.autograd.Function):
    """Torch's own gradient of the same turns the axis four times more."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.flip(-1).cumsum(-1).flip(-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Nothing is kept: the map is linear."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.cumsum(-1)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return tangent.flip(-1).cumsum(-1).flip(-1)


@torch.compiler.allow_in_graph
def _suffix_sums(x: Tensor) -> Tensor:
    """y_j = Σ_{k>=j} x_k over the last axis."""
    if is_recorded():  # a program knows no function of Python
        return x.flip(-1).cumsum(-1).flip(-1)
    result: Tensor = _SuffixSums.apply(x)
    return result
