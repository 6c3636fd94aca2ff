"""Pictures, by file or in memory.

Shapes: H and W pixels, C channels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.images.data import ImageData
from lightning_posenc.data.images.images import HeldImages, opened, pixels_of
from lightning_posenc.data.images.pixels import as_tensor, squares
from lightning_posenc.inference.readers.base import InputReader, unknown_targets

TAKES = "the path of a picture, a PIL image, or an array (H, W) or (H, W, C)"


class ImageReader(InputReader):
    """Reads pictures as `ImageData` does.

    Args:
        data: That of training, or as it.
    """

    takes = TAKES
    example = '"photo.jpg"'

    def __init__(self, data: ImageData) -> None:
        self.data = data

    def is_one(self, given: Any) -> bool:
        if isinstance(given, np.ndarray | Tensor):
            return given.ndim < 4
        return isinstance(given, str | Path) or hasattr(given, "convert")

    def batch(self, inputs: Sequence[Any], length: int | None) -> Batch:
        known = self.data.meaning()
        size = self.data.image_size if length is None else length
        images = [as_tensor(self._pixels(each, known["n_channels"])) for each in inputs]
        pixels = squares(images, size, self.data.antialias)
        mean, std = (torch.tensor(known[key])[:, None, None] for key in ("mean", "std"))
        return Batch((pixels - mean) / std, unknown_targets(len(images)))

    def of_file(self, path: Path) -> list[Any]:
        return [path]

    def shown(self, given: Any) -> str:
        if isinstance(given, str | Path):
            return str(given)
        return f"{type(given).__name__} {tuple(getattr(given, 'shape', ())) or ''}".strip()

    def _pixels(self, given: Any, channels: int) -> NDArray[Any]:
        """(H, W, C) of whole numbers from 0 to 255, or of floats from 0 to 1."""
        if isinstance(given, str | Path):
            return pixels_of(opened({"path": str(given)}, str(given)), channels, str(given))
        if hasattr(given, "convert") and hasattr(given, "mode"):
            return pixels_of(given, channels, "the image")
        if isinstance(given, Tensor):  # channels first, as torchvision has them
            given = given.detach().cpu().numpy()
            given = given.transpose(1, 2, 0) if given.ndim == 3 else given
        if not isinstance(given, np.ndarray):
            raise ValueError(f"{type(given).__name__} is no image: give {TAKES}")
        return HeldImages(_checked(given)[None], [None]).pixels(0, channels)


def _checked(image: NDArray[Any]) -> NDArray[Any]:
    """An array that is an image.

    Raises:
        ValueError: If it is none.
    """
    shape = image.shape
    if image.ndim not in (2, 3) or not image.size or (image.ndim == 3 and shape[2] not in (1, 3)):
        raise ValueError(f"an array {shape} is no image: give (H, W), (H, W, 1) or (H, W, 3)")
    low, high = float(image.min()), float(image.max())
    if image.dtype == np.uint8 or (image.dtype.kind == "f" and low >= 0 and high <= 1):
        return image
    if image.dtype.kind in "iu" and low >= 0 and high <= 255:
        return image.astype(np.uint8)
    raise ValueError(
        f"an image holds {image.dtype} from {low:g} to {high:g}: give bytes, or floats from 0 to 1"
    )
