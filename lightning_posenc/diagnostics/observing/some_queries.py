"""A few of a layer's queries, evenly spaced: what is a mean over queries needs not all of them.

Shapes: B sequences, H heads, T queries, t of them, S keys.
"""

import torch
from torch import Tensor

from lightning_posenc.masks import Visibility
from lightning_posenc.model.kernels import Operands

MOST = 64


def some_queries(operands: Operands, most: int = MOST) -> tuple[list[int], Operands]:
    """Indices of at most so many queries, the first and the last among them, and their operands.

    Their mask and bias are written out, for them alone. A rescore is of all queries, and is left
    out.

    Args:
        operands: One layer's attention.
        most: t, at least 1.
    """
    n_queries, n_keys = operands.shape[2:]
    if n_queries <= most:
        index = list(range(n_queries))
    else:
        index = torch.linspace(0, n_queries - 1, most).round().long().tolist()
    visibility, bias = operands.visibility, operands.bias
    if len(index) == n_queries:
        seen = visibility.seen_by(slice(None))
    else:
        rows = [visibility.seen_by(slice(i, i + 1)) for i in index]
        seen = None if rows[0] is None else torch.cat([r for r in rows if r is not None], dim=2)
    if bias is not None and not isinstance(bias, Tensor):
        bias = bias.of(index).written_out()
    elif bias is not None:
        bias = bias.expand(*bias.shape[:2], n_queries, n_keys)[:, :, index]
    return index, operands._replace(
        q=operands.q[:, :, index],
        bias=bias,
        visibility=Visibility(seen, len(index), n_keys, operands.q.device),
        rescore=None,
    )
