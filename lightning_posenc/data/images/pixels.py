"""From pixels as files hold them to tensors of one size.

Shapes: B images, C channels, H and W pixels, S pixels on a side of a square.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


def as_tensor(image: NDArray[Any]) -> Tensor:
    """(H, W, C) of bytes, or of floats from 0 to 1, to (C, H, W) in float32 from 0 to 1."""
    scale = 255 if image.dtype.kind in "iub" else 1
    wide = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
    return torch.from_numpy(wide) / scale


def squares(images: Sequence[Tensor], size: int, antialias: bool) -> Tensor:
    """Images (C, H, W) of any sizes as (B, C, S, S): resized bicubically so that the shorter side
    has S pixels, and cut around the centre.

    Half-pixel centres, as in torch, torchvision and Pillow; what the cubic overshoots is cut off.

    Args:
        images: Values from 0 to 1.
        size: S.
        antialias: Whether to blur before pixels are left out; it changes nothing much where an
            image grows.
    """
    if len({image.shape for image in images}) == 1:
        return _square(torch.stack(list(images)), size, antialias)
    return torch.cat([_square(image[None], size, antialias) for image in images])


def _square(images: Tensor, size: int, antialias: bool) -> Tensor:
    height, width = images.shape[2:]
    shorter = min(height, width)
    wanted = round(height * size / shorter), round(width * size / shorter)
    if wanted != (height, width):
        images = F.interpolate(images, wanted, mode="bicubic", antialias=antialias).clamp(0, 1)
    top, left = (wanted[0] - size) // 2, (wanted[1] - size) // 2
    return images[:, :, top : top + size, left : left + size]
