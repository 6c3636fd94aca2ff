"""What a method of somebody's own gave, compared where it is used.

So a wrong shape is one line that names the method, and no broadcast that nobody sees, nor an error
of another layer.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

Size: TypeAlias = int | tuple[int, ...] | None


def returned(
    owner: object,
    method: str,
    value: Any,
    shape: Sequence[Size],
    dtype: torch.dtype | None = None,
) -> Tensor:
    """`value`, checked to be a floating tensor of a shape.

    Args:
        owner: Whose method it is.
        method: Its name.
        value: What it gave.
        shape: The size of each axis, or the several that it may have; None for any.
        dtype: Which one; None for any. Under autocast any will do: there a product has another
            dtype than its factors.

    Raises:
        ValueError: Naming the method, what it gave and what it must give.
    """
    fits = isinstance(value, Tensor) and (value.shape == shape or _fits(value.shape, shape))
    if fits and value.is_floating_point():
        if dtype is None or value.dtype == dtype:
            return value
        if torch.is_autocast_enabled(value.device.type):
            return value
    raise misgiven(owner, method, value, f"({_said(shape)}) of {dtype or 'a floating dtype'}")


def misgiven(owner: object, method: str, value: Any, wanted: str) -> ValueError:
    """Make what is to be raised: `Owner.method gave …, and must give …`."""
    if isinstance(value, Tensor):
        gave = f"{tuple(value.shape)} of {value.dtype}"
    else:
        gave = "nothing (None)" if value is None else f"a {type(value).__name__}"
    return ValueError(f"{type(owner).__name__}.{method} gave {gave}, and must give {wanted}")


def _fits(sizes: Sequence[int], shape: Sequence[Size]) -> bool:
    if len(sizes) != len(shape):
        return False
    return all(
        size in allowed if isinstance(allowed, tuple) else allowed is None or size == allowed
        for size, allowed in zip(sizes, shape, strict=True)
    )


def _said(shape: Sequence[Size]) -> str:
    return ", ".join(
        " or ".join(map(str, dict.fromkeys(size)))
        if isinstance(size, tuple)
        else str("any" if size is None else size)
        for size in shape
    )
