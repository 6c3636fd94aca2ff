"""What mixers share whose weights are a product of two narrow matrices.

Shapes: B sequences, H heads, T queries, t of them at a time, S keys, R rank.
"""

from collections.abc import Callable

from torch import Tensor

from lightning_posenc.model.kernels.by_rows import by_rows


def read_product(left: Tensor, right: Tensor, read: Callable[[Tensor, slice], Tensor]) -> Tensor:
    """Call `read` with the weights that a mixer implies, as `Site.read_weights` promises it.

    Args:
        left: (B, H, T, R).
        right: (B|1, H|1, R, S).
        read: Is called with left @ right of t queries, (B, H, t, S), and with their slice.
    """

    def part(rows: slice) -> Tensor:
        return read(left[:, :, rows] @ right, rows)

    return by_rows(part, left.shape[2])
