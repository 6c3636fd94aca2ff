"""Attention by FlexAttention."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from lightning_posenc.model.kernels.base import Kernel, has_tangent
from lightning_posenc.model.kernels.operands import Operands
from lightning_posenc.model.kernels.sdpa import SDPA
from lightning_posenc.positional.branched import Branched
from lightning_posenc.positional.by_distance import ByDistance


class Flex(Kernel):
    """FlexAttention: a block-sparse mask that skips what nobody sees, and a bias without the sum.

    Taken on CUDA, without attention dropout (which it lacks) and for a bias that needs no gradient
    (whose backward has open faults: pytorch #145208, #157677; tests/model/test_flex.py holds it to
    the oracle where there is a GPU). Otherwise `SDPA`, and so on the CPU, where FlexAttention has
    no backward for queries, keys and values.
    """

    otherwise = SDPA

    def serves(self, operands: Operands) -> bool:
        return operands.q.is_cuda and self.expresses(operands) and not self.drops

    def expresses(self, operands: Operands) -> bool:
        """Whether it would serve them on CUDA, wherever they are."""
        bias = operands.bias
        if isinstance(bias, Branched):  # products, which are no function of a score and two places
            return False
        learned = bias is not None and bias.requires_grad
        return operands.is_plain and not learned and not has_tangent(operands)

    def forward(self, operands: Operands) -> Tensor:
        attend: Callable[..., Any] = flex_attention
        if not torch.compiler.is_compiling():  # else it is compiled with the rest of the model
            attend = compiled_flex_attention()
        return attend_by(attend, operands)


def attend_by(attend: Callable[..., Tensor], operands: Operands) -> Tensor:
    """Attend by `flex_attention` or its compiled form; `rescore` is left out."""
    bias = operands.bias
    assert bias is None or isinstance(bias, Tensor | ByDistance)
    return attend(
        operands.q,
        operands.k,
        operands.v,
        score_mod=None if bias is None else _adding(bias),
        block_mask=operands.visibility.block,
        scale=operands.scale,
        enable_gqa=operands.is_grouped,
    )


def _adding(bias: Tensor | ByDistance) -> Callable[..., Tensor]:
    if isinstance(bias, ByDistance):
        return _looking_up(bias)
    rows, heads = bias.shape[:2]

    def score_mod(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return score + bias[b % rows, h % heads, q, k]

    return score_mod


def _looking_up(bias: ByDistance) -> Callable[..., Tensor]:
    """The same from a table, which nobody writes out."""
    values, low, q_pos, k_pos = bias.values, bias.low, bias.q_pos, bias.k_pos

    def score_mod(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        distance = q_pos[b % len(q_pos), q] - k_pos[b % len(k_pos), k]
        return score + values[h, distance - low]

    return score_mod


@cache
def compiled_flex_attention() -> Callable[..., Tensor]:
    """`flex_attention`, compiled once for the whole process."""
    return torch.compile(flex_attention, dynamic=True)
