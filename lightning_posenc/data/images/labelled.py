"""Images with a class each, as batches of squares.

Shapes: B images, C channels, S pixels on a side.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.fixed import FixedDataset
from lightning_posenc.data.images.images import Images
from lightning_posenc.data.images.pixels import as_tensor, squares
from lightning_posenc.data.meaning import digest
from lightning_posenc.data.order import ShuffledPasses
from lightning_posenc.draws import Draws


class Reader:
    """Reads images of one size and kind.

    Args:
        images: All images of a split.
        size: S.
        channels: C, 1 or 3, to which pictures are converted; None if they are not to be.
        antialias: Whether to blur before pixels are left out.
        path: Where they come from, for errors to name.
    """

    def __init__(
        self, images: Images, size: int, channels: int | None, antialias: bool, path: str
    ) -> None:
        self.images = images
        self.size = size
        self.channels = channels
        self.antialias = antialias
        self.path = path

    @cached_property
    def n_channels(self) -> int:
        """C, of all images: that of the first."""
        return self.channels or self.images.pixels(0, None).shape[-1]

    def read(self, numbers: list[int], n_channels: int | None = None) -> Tensor:
        """(B, C, S, S) from 0 to 1.

        Args:
            numbers: Which images.
            n_channels: C; None for that of the first image.

        Raises:
            ValueError: If one cannot be read, or has other channels.
        """
        n_channels = n_channels or self.n_channels
        return squares([self._one(n, n_channels) for n in numbers], self.size, self.antialias)

    def _one(self, number: int, n_channels: int) -> Tensor:
        image = self.images.pixels(number, self.channels)
        if (given := image.shape[-1]) != n_channels:
            kinds = {1: "grey", 3: "in colour"}
            raise ValueError(
                f"data.path={self.path}: {self.images.name(number)} is {kinds[given]}, others are "
                f"{kinds[n_channels]}: set data.channels=1 or 3, to which all are then converted"
            )
        return as_tensor(image)


class LabelledImages(FixedDataset):
    """Images as the model reads them: of one size, each channel less its mean over its deviation.

    Args:
        reader: Reads them.
        labels: (N,) int64, class of each image; -100 where it is not known.
        items: (n,) int64, which of the images belong to this dataset, in its order.
        mean: (C,).
        std: (C,).
    """

    def __init__(
        self, reader: Reader, labels: Tensor, items: Tensor, mean: Tensor, std: Tensor
    ) -> None:
        self.reader = reader
        self.labels = labels
        self.items = items
        self.mean = mean[:, None, None]
        self.std = std[:, None, None]

    def __len__(self) -> int:
        return len(self.items)

    def content(self) -> str:
        whole = np.frombuffer(self.reader.images.content.encode(), np.uint8)
        return digest(whole, self.labels[self.items].numpy(), self.items.numpy())

    def classes(self) -> Tensor:
        return self.labels[self.items]

    def __getitems__(self, indices: list[int]) -> Batch:
        return self.batch(indices, None)

    def batch(self, indices: list[int], change: Callable[[Tensor], Tensor] | None) -> Batch:
        """Some of the items, changed before they are normalised."""
        items = self.items[indices]
        pixels = self.reader.read(items.tolist(), len(self.mean))
        if change is not None:
            pixels = change(pixels)
        return Batch((pixels - self.mean) / self.std, self.labels[items])


class AugmentedImages(FixedDataset):
    """The same in an endless stream of passes, each image changed at random in every one.

    What a change draws from torch's generator on the CPU is a function of the seed and of the
    place in the stream, so that neither ranks, workers nor restarts matter.

    Args:
        images: Of one pass.
        augment: Changes an image (C, S, S) from 0 to 1, into such.
        seed: Any integer.
    """

    def __init__(
        self, images: LabelledImages, augment: Callable[[Tensor], Tensor], seed: int
    ) -> None:
        self.images = images
        self.augment = augment
        self.seed = seed
        self.order = ShuffledPasses(len(images), seed)

    def __len__(self) -> int:
        return len(self.images)

    def content(self) -> str:
        return self.images.content()

    def __getitems__(self, indices: list[int]) -> Batch:
        """The images of some elements of the stream."""
        elements = torch.tensor(indices)
        seeds = Draws(self.seed, "augment", elements).integers(0, 2**31).tolist()

        def change(pixels: Tensor) -> Tensor:
            with torch.random.fork_rng(devices=[]):
                changed = [self._changed(*each) for each in zip(pixels, seeds, strict=True)]
            return torch.stack(changed)

        return self.images.batch(self.order(elements).tolist(), change)

    def _changed(self, image: Tensor, seed: int) -> Tensor:
        torch.manual_seed(seed)
        changed = self.augment(image)
        if not isinstance(changed, Tensor) or changed.shape != image.shape:
            got = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            raise ValueError(
                f"data.augment must give images of the shape that it gets, {tuple(image.shape)}, "
                f"and gave {got}"
            )
        return changed
