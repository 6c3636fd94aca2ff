"""Images of one split of a source, read when they are asked for.

Shapes: N images, H and W pixels, C channels.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_posenc.compat.datasets import fingerprint
from lightning_posenc.data.meaning import digest
from lightning_posenc.data.text.labels import Label, labels_of, names_given

if TYPE_CHECKING:
    from datasets import Dataset

GREY, COLOUR = 1, 3  # channels
LUMA = np.array([0.299, 0.587, 0.114])  # of ITU-R 601, as Pillow's


class Images(ABC):
    """Images and their labels.

    Attributes:
        labels: That of each image, None where it has none.
        names: Names of the classes in the order of their numbers, if the source gives any.
    """

    labels: list[Label]
    names: list[str] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def pixels(self, number: int, channels: int | None) -> NDArray[Any]:
        """One image, (H, W, C) of whole numbers from 0 to 255, or of floats from 0 to 1.

        Args:
            number: Which one.
            channels: 1 or 3, to which a picture's own are converted; None for its own.

        Raises:
            ValueError: If it cannot be read.
        """

    @abstractmethod
    def name(self, number: int) -> str:
        """What a person calls an image."""

    @property
    @abstractmethod
    def content(self) -> str:
        """A short name of what all images hold."""


class HeldImages(Images):
    """Images in memory, all of one size.

    Args:
        pixels: (N, H, W) or (N, H, W, C) of uint8, or of floats from 0 to 1.
        labels: That of each.
        names: Names of the classes.
    """

    def __init__(
        self, pixels: NDArray[Any], labels: list[Label], names: list[str] | None = None
    ) -> None:
        self.held = pixels if pixels.ndim == 4 else pixels[..., None]
        self.labels = labels
        self.names = names

    def pixels(self, number: int, channels: int | None) -> NDArray[Any]:
        image = self.held[number]
        if channels == COLOUR and image.shape[-1] == GREY:
            return image.repeat(COLOUR, axis=-1)
        if channels == GREY and image.shape[-1] == COLOUR:
            return (image @ LUMA).round(6).astype(image.dtype)[..., None]
        return image

    def name(self, number: int) -> str:
        return f"image {number} (counted from 0)"

    @cached_property
    def content(self) -> str:
        return digest(self.held)


class PicturesOnDemand(Images):
    """Pictures that are read one at a time."""

    path: str
    """Where they come from, for errors to name."""

    @abstractmethod
    def entry(self, number: int) -> Any:
        """One picture as `datasets` keeps it: its `bytes`, or the `path` of its file."""

    def pixels(self, number: int, channels: int | None) -> NDArray[Any]:
        name = f"data.path={self.path}: {self.name(number)}"
        return pixels_of(opened(self.entry(number), name), channels, name)


class FilesOfImages(PicturesOnDemand):
    """Files, each in the folder of its class, or in that of a split, which says no class.

    Args:
        root: The folder that they are told from.
        files: Paths below it.
        path: What the user calls the source.
        roots: Folders below it, the empty path among them, that are no class.
    """

    def __init__(
        self, root: Path, files: Sequence[Path], path: str, roots: Collection[Path] = (Path(),)
    ) -> None:
        self.root = root
        self.files = files
        self.path = path
        self.labels = [None if file.parent in roots else file.parent.name for file in files]

    def entry(self, number: int) -> Any:
        return {"path": str(self.root / self.files[number])}

    def name(self, number: int) -> str:
        return str(self.files[number])

    @cached_property
    def content(self) -> str:
        """Of the names: the folder may lie elsewhere."""
        names = "\n".join(file.as_posix() for file in self.files)
        return digest(np.frombuffer(names.encode(), np.uint8))


class RowsOfImages(PicturesOnDemand):
    """Rows of a dataset with a column of images.

    Args:
        rows: The rows.
        image_column: Which column holds the image.
        label_column: Which column holds the class.
        path: What the user calls the source.
    """

    def __init__(self, rows: "Dataset", image_column: str, label_column: str, path: str) -> None:
        from datasets import Image

        self.rows = rows.cast_column(image_column, Image(decode=False))
        self.column = image_column
        self.path = path
        self.labels = labels_of(rows, label_column, path)
        self.names = names_given(rows, label_column)

    def entry(self, number: int) -> Any:
        return self.rows[number][self.column]

    def name(self, number: int) -> str:
        return f"the image in row {number} (counted from 0)"

    @property
    def content(self) -> str:
        return fingerprint(self.rows)


def pixels_of(image: Any, channels: int | None, name: str) -> NDArray[Any]:
    """One picture, (H, W, C) of whole numbers from 0 to 255, or of floats from 0 to 1.

    Args:
        image: Of Pillow.
        channels: 1 or 3, to which its own are converted; None for its own.
        name: What a person calls it.

    Raises:
        ValueError: If it holds what cannot be converted.
    """
    deep = image.mode == "F" or image.mode.startswith("I")  # a conversion would cut at 255
    if channels is None:
        channels = GREY if deep or image.mode in ("1", "L", "LA") else COLOUR
    found = _deep(image, name) if deep else _bytes(image, channels, name)
    return found if found.ndim == 3 else found[..., None].repeat(channels, axis=-1)


def opened(entry: Any, name: str) -> Any:
    """A picture as `datasets` keeps it, its pixels read and turned upright as its EXIF says.

    Args:
        entry: `bytes`, and the `path` of a file.
        name: What a person calls it.

    Raises:
        ValueError: If there is none, or it cannot be read.
    """
    from PIL import Image, ImageOps

    held, file = ((entry or {}).get(key) for key in ("bytes", "path"))
    if held is None and file is None:
        raise ValueError(f"{name} is none: give one, or take it out")
    try:
        image = Image.open(str(file) if held is None else io.BytesIO(held))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:  # the reader of each format has errors of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{name} cannot be read ({reason}): replace it, or take it out") from error
    return image


def _deep(image: Any, name: str) -> NDArray[Any]:
    """(H, W) of a grey picture of more than 8 bits: floats from 0 to 1, or whole numbers up to
    65535 over that.

    Raises:
        ValueError: If it holds other numbers.
    """
    values = np.asarray(image, np.float32)
    low, high = float(values.min()), float(values.max())
    most, kind = (1, "floats") if image.mode == "F" else (65535, "whole numbers")
    if not (low >= 0 and high <= most):  # NaN is neither
        raise ValueError(
            f"{name} holds {kind} from {low:g} to {high:g}: scale them to 0 to "
            f"{most}, or save it with 8 bits"
        )
    return values / most


def _bytes(image: Any, channels: int, name: str) -> NDArray[Any]:
    """(H, W) or (H, W, 3) of any other picture; what is transparent has the colour below.

    Raises:
        ValueError: If its colours cannot be converted.
    """
    try:
        return np.asarray(image.convert("L" if channels == GREY else "RGB"))
    except ValueError as error:
        raise ValueError(
            f"{name} has {image.mode} colours, which cannot be converted: save it as RGB"
        ) from error
