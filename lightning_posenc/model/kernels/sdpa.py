"""Attention by torch's fused kernels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.compat.torch import is_mapped
from lightning_posenc.model.kernels.base import Kernel, has_tangent
from lightning_posenc.model.kernels.by_parts import by_parts, may_be_in_parts
from lightning_posenc.model.kernels.by_rows import by_rows
from lightning_posenc.model.kernels.by_tiles import by_tiles, may_be_in_tiles
from lightning_posenc.model.kernels.eager import Eager
from lightning_posenc.model.kernels.key_bias import by_key_bias, slopes_of_past
from lightning_posenc.model.kernels.mapped import Mapped
from lightning_posenc.model.kernels.operands import Operands
from lightning_posenc.model.kernels.sinks import beside_sinks
from lightning_posenc.positional import by_distance
from lightning_posenc.positional.by_distance import ByDistance


class SDPA(Kernel):
    """torch's scaled_dot_product_attention: fused wherever it can be.

    On the CPU, pairs that a mask hides are left out by runs of queries, at the cost of those that
    somebody sees: T·w in a window of w. A bias that it would have to write out goes by tiles there.
    """

    otherwise = Eager

    def serves(self, operands: Operands) -> bool:
        made = operands.rescore is not None or operands.score is not None  # logits of another kind
        return not made and not has_tangent(operands)

    def materialises(self, operands: Operands) -> bool:
        # As torch does for a mask that learns: its fused kernels give no gradient of it.
        learned = isinstance(operands.bias, Tensor) and operands.bias.requires_grad
        return learned and not may_be_in_tiles(operands, self.drops)

    def forward(self, operands: Operands) -> Tensor:
        if (slopes := slopes_of_past(operands, self.drops)) is not None:
            return by_key_bias(operands, slopes)
        if may_be_in_tiles(operands, self.drops):
            return by_tiles(operands)
        if may_be_in_parts(operands):
            return by_parts(self._all, operands)
        return self._all(operands)

    def _all(self, operands: Operands) -> Tensor:
        bias = operands.bias
        if bias is None or isinstance(bias, Tensor):
            return self._at_once(operands)
        if isinstance(bias, ByDistance) and bias.n_pairs <= by_distance.LARGE:
            operands = operands._replace(bias=bias.written_out())
        else:
            n_queries = operands.q.shape[2]
            return by_rows(lambda rows: self._at_once(operands.rows(rows)), n_queries, self.drops)
        return self._at_once(operands)

    def _at_once(self, operands: Operands) -> Tensor:
        if operands.sinks is not None:
            operands = beside_sinks(operands)
        q, v, bias, visibility = operands.q, operands.v, operands.bias, operands.visibility
        assert bias is None or isinstance(bias, Tensor)
        is_causal = bias is None and visibility.is_causal
        mask = None
        if bias is not None:
            # Expanded to four dimensions: a mask of fewer leaves the fused path. In the dtype of q:
            # cuDNN reads a float32 mask beside bfloat16 queries as bfloat16 (pytorch #191612).
            mask = visibility.added_to(bias, q.dtype).expand(-1, q.shape[1], -1, -1)
        elif not is_causal:
            mask = visibility.dense
        # Where an encoding widened q and k, values as wide keep the fused path.
        width, wider = v.shape[-1], q.shape[-1] - v.shape[-1]
        v = F.pad(v, (0, wider)) if wider else v
        dropout = self.dropout if self.training else 0.0
        if not torch.compiler.is_compiling() and is_mapped(q):
            of_q = (mask, dropout, is_causal, operands.scale, operands.is_grouped)
            out: Tensor = Mapped.apply(q, operands.k, v, *of_q)
        else:
            out = F.scaled_dot_product_attention(
                q,
                operands.k,
                v,
                attn_mask=mask,
                dropout_p=dropout,
                is_causal=is_causal,
                scale=operands.scale,
                enable_gqa=operands.is_grouped,
            )
        return out[..., :width] if wider else out
