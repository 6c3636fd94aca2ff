"""Attention with a bias on the CPU, by tiles of queries and keys that stay in the cache.

torch's fused kernel for the CPU takes a bias as T × S numbers, gives no gradient of it, and skips
nothing where there is one. Here a bias of distance is a vector: a tile reads it through a view
whose rows are shifted by one, and the gradient of a distance is the sum over a diagonal of the
tile. Hidden stretches of keys are never computed, as in the fused kernel under a causal mask.

Shapes: B sequences, H heads, G key-value heads, T queries, S keys, K channels of a head, V of a
value.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.compat.torch import is_transformed
from lightning_posenc.masks import Causal
from lightning_posenc.model.kernels.operands import Operands
from lightning_posenc.model.kernels.tile_products import Tiled
from lightning_posenc.positional import by_distance
from lightning_posenc.positional.by_distance import ByDistance
from lightning_posenc.positions.recording import is_recorded


def fits(operands: Operands, drops: bool) -> bool:
    """Whether a kernel of ours for the CPU may take the place of torch's: nothing hinders it.

    Args:
        operands: One layer's.
        drops: Whether weights are dropped.
    """
    if operands.q.device.type != "cpu" or drops or not operands.is_plain:
        return False
    if torch.compiler.is_compiling() or is_recorded():
        return False
    tensors = operands.q, operands.k, operands.v, getattr(operands.bias, "values", operands.bias)
    return not any(isinstance(x, Tensor) and is_transformed(x) for x in tensors)


def may_be_in_tiles(operands: Operands, drops: bool) -> bool:
    """Whether the fused kernel of the device would do more work, and nothing hinders it.

    Args:
        operands: One layer's.
        drops: Whether weights are dropped.
    """
    seen, bias = operands.visibility, operands.bias
    if seen.n_queries < by_distance.MANY:  # first of all, for a step of decoding asks in each layer
        return False
    if isinstance(seen.mask, Tensor):
        return False
    if isinstance(bias, ByDistance):
        served = bias.diagonal is not None
    elif isinstance(bias, Tensor):
        served = type(seen.mask) is Causal or bias.requires_grad
    else:
        served = bias is None and seen.mask is not None and seen.mask.in_stretches
    return served and fits(operands, drops)


def by_tiles(operands: Operands) -> Tensor:
    """Attend: (B, H, T, V) in the dtype of q."""
    _, _, n_queries, n_keys = operands.shape
    bias = operands.bias
    if isinstance(bias, ByDistance):
        bias = every_diagonal(bias, n_queries, n_keys)
    elif isinstance(bias, Tensor):
        bias = bias.expand(-1, -1, n_queries, n_keys)
    of_layer = operands.visibility, operands.scale
    mixed: Tensor = Tiled.apply(operands.q, operands.k, operands.v, bias, *of_layer)
    return mixed


def every_diagonal(table: ByDistance, n_queries: int, n_keys: int) -> Tensor:
    """The values on the T + S - 1 diagonals, (H, T + S - 1): that of i - j stands at i - j + S - 1.

    Args:
        table: With `diagonal`.
        n_queries: T.
        n_keys: S.
    """
    assert table.diagonal is not None
    least = table.diagonal - (n_keys - 1) - table.low
    most = table.diagonal + n_queries - 1 - table.low
    beyond = -least, most - (table.values.shape[1] - 1)
    return F.pad(table.values, beyond) if any(beyond) else table.values
