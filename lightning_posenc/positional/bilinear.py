"""Between the places of a grid, the vectors of the four around."""

from collections.abc import Callable

import torch
from torch import Tensor


def bilinear(at: Callable[[Tensor], Tensor], places: Tensor) -> Tensor:
    """Vectors at whole places, or interpolated between them.

    Args:
        at: Gives those of whole places (…, 2): (…, D). It is asked for places one beyond, too.
        places: (…, 2), whole or not.

    Returns:
        (…, D); in float32 where places are not whole.
    """
    if not places.is_floating_point():
        return at(places)
    low = places.floor().long()
    down, right = (places - low).float().unsqueeze(-1).unbind(-2)  # each (…, 1)
    (a, b), (c, d) = (
        [at(low + low.new_tensor((row, column))).float() for column in (0, 1)] for row in (0, 1)
    )
    return torch.lerp(torch.lerp(a, b, right), torch.lerp(c, d, right), down)
