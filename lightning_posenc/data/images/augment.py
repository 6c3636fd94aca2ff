"""What changes a training image at random, where torchvision is not installed."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.checks import whole


class RandomShift:
    """Moves an image by up to some pixels, each way equally likely, and fills up with zeros.

    Args:
        pixels: How far at most, up or down and left or right, 0 to 8192.
    """

    def __init__(self, pixels: int = 1) -> None:
        self.pixels = whole(self, "pixels", pixels, 0, 8192)

    def __call__(self, image: Tensor) -> Tensor:
        """Change (C, H, W)."""
        n = self.pixels
        down, across = torch.randint(2 * n + 1, (2,)).tolist()
        height, width = image.shape[1:]
        return F.pad(image, (n, n, n, n))[:, down : down + height, across : across + width]
