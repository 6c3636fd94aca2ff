"""Images with a class each: folders, arrays, a dataset on the Hub, or scikit-learn's digits.

Shapes: B images, C channels, S pixels on a side.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_posenc.checks import is_a, number, one_of, several, whole, wrong
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.fixed import FixedData
from lightning_posenc.data.images.images import FilesOfImages, Images
from lightning_posenc.data.images.labelled import AugmentedImages, LabelledImages, Reader
from lightning_posenc.data.images.sources import GIVE, load_images
from lightning_posenc.data.order import as_they_come
from lightning_posenc.data.remembered import in_names
from lightning_posenc.data.text.labels import (
    Numbered,
    check_all_labelled,
    classes_of,
    numbered,
)
from lightning_posenc.tasks import IGNORE

LARGEST_SIDE = 8192
N_MEASURED = 1024  # training images that the mean and the deviation are of, evenly spread
LEAST_STD = 1e-3  # of a channel: one that is constant is not divided by 0
Augment: TypeAlias = Callable[..., Any]  # of a tensor such; a return type would be made


class ImageData(FixedData):
    """A class for every image, resized to a square.

    A picture is turned upright as its EXIF says, and its transparency left out; grey ones may have
    16 bits, or floats from 0 to 1. An image is resized bicubically so that its shorter side has
    `image_size` pixels, and cut around its centre; values lie between 0 and 1, less `mean`, over
    `std`. The test reads the images once for each of `eval_sizes`: how far a model serves another
    resolution than it was trained at. In metrics the size stands where the length of a sequence
    does (`test/acc/len_16`).

    Training goes through all images, pass after pass. Splits are those of `TextClassificationData`:
    without its own, validation has `val_fraction` of the training images, drawn once and for any
    seed, and the test what validation has. Classes are the folders, those that a dataset names, or
    the different labels in ascending order; with a checkpoint, the checkpoint's, by name. Images
    that are predicted need no class: a folder of files alone will do.

    Args:
        path: a folder with a folder of images for each class (within `train`, `validation`, `test`
            if there are such); a .npz file with arrays `images` and `labels`, or `train_images`,
            `train_labels`, `test_images`, …; a .parquet file or a dataset on the Hub with a column
            of images; or `digits`, scikit-learn's 1,797 handwritten ones of 8 x 8 pixels.
        image_size: S, pixels on a side in training and validation, 1 to 8192.
        eval_sizes: sizes to test at; None for `image_size`.
        subset: which of a Hub dataset's subsets.
        image_column: which column holds the image.
        label_column: which column holds the class.
        channels: C, 1 (grey) or 3 (colour), to which all images are converted; None for their own,
            which must be the same.
        mean: of each channel; None for that of the training images.
        std: their standard deviation, likewise; above 0.
        antialias: whether to blur an image before it is made smaller.
        augment: changes each training image (C, S, S), values from 0 to 1, at random: one of
            torchvision's transforms, which is to be installed for it, a torch.nn.Module or a class
            of your own. It draws from torch's generator, which is seeded for every image.
        val_fraction: share of the images for validation where they have no split of their own.
        steps_per_epoch: training batches in an epoch; None for as many as one pass fills.
        options: those of `GlobalBatchData`.

    Raises:
        ValueError: if a number is out of range, an image cannot be read, a label is missing, or
            some images are grey and others in colour.
        FileNotFoundError: if a file does not exist.
    """

    length_axis = "size in pixels"
    vocab_size: int | None = None  # pixels have no ids

    def __init__(
        self,
        path: str | None = None,
        image_size: int = 224,
        eval_sizes: list[int] | None = None,
        *,
        subset: str | None = None,
        image_column: str = "image",
        label_column: str = "label",
        channels: Literal[1, 3] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        antialias: bool = True,
        augment: Augment | None = None,
        val_fraction: float = 0.1,
        steps_per_epoch: int | None = None,
        **options: Any,
    ) -> None:
        if not path:
            raise ValueError(f"data.path is empty: give {GIVE}")
        whole(self, "image_size", image_size, most=LARGEST_SIDE)
        sizes = (image_size,) if eval_sizes is None else several(self, "eval_sizes", eval_sizes)
        super().__init__(
            path,
            train_length=image_size,
            eval_lengths=[whole(self, "eval_sizes", size, most=LARGEST_SIDE) for size in sizes],
            val_fraction=val_fraction,
            steps_per_epoch=steps_per_epoch,
            **options,
        )
        self.image_size = image_size
        self.subset = None if subset is None else is_a(self, "subset", subset, str)
        self.image_column = is_a(self, "image_column", image_column, str)
        self.label_column = is_a(self, "label_column", label_column, str)
        if label_column == image_column:
            raise wrong(self, "label_column", label_column, "be another column than image_column")
        self.channels = channels if channels is None else one_of(self, "channels", channels, (1, 3))
        self.mean = self._of_channels("mean", mean)
        self.std = self._of_channels("std", std)
        if self.std is not None and min(self.std) <= 0:
            raise wrong(self, "std", std, "be above 0")
        self.antialias = is_a(self, "antialias", antialias, bool)
        self.augment = augment if augment is None else is_a(self, "augment", augment, Callable)
        self._known: dict[str, Any] = {}
        self._found: dict[str, Images] = {}

    def _of_channels(self, name: str, value: Any) -> list[float] | None:
        if value is None:
            return None
        return [number(self, name, each) for each in several(self, name, value)]

    def options(self) -> dict[str, Any]:
        others = super().options()
        del others["train_length"], others["eval_lengths"]
        return {
            "image_size": self.image_size,
            "eval_sizes": self.eval_lengths,
            "subset": self.subset,
            "image_column": self.image_column,
            "label_column": self.label_column,
            "channels": self.channels,
            "mean": self.mean,
            "std": self.std,
            "antialias": self.antialias,
            "augment": self.augment,
            **others,
        }

    def meaning(self) -> dict[str, Any]:
        """Names of the classes in the order of their numbers, C, and what is normalised with."""
        if not self._known:
            self._known = self._own_meaning()
        return self._known

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        super().take_over(meaning, options)
        self._known = dict(meaning)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of their numbers."""
        return list(self.meaning()["class_names"])

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def prepare_data(self) -> None:
        """Fetch and index the images once a machine; the `datasets` library caches them."""
        self.meaning()

    def setup(self, stage: str | None = None) -> None:
        """Find the images; each is read when it is asked for.

        Raises:
            ValueError: if there are too few, or none with a class that is known.
        """
        found = self._images()
        if not self._evaluates_other and "val" not in found and len(found["train"]) < 2:
            raise ValueError(f"data.path={self.path} has one image: give at least 2")
        self._say_what_is_read(stage)

    def predicted(self, row: int, classes: Any, probabilities: Any) -> dict[str, Any]:
        images = self._images()[self._items("predict")[0]]
        named = {"file": images.name(row)} if isinstance(images, FilesOfImages) else {}
        return {**named, **in_names(self.class_names, classes, probabilities)}

    def train_dataloader(self) -> Iterable[Batch]:
        """The share of this rank in the stream of shuffled images."""
        if self.augment is None:
            return super().train_dataloader()
        images = AugmentedImages(self._dataset("train", self.image_size), self.augment, self.seed)
        n_batches = self.steps_per_epoch or max(1, len(images) // self.batch_size)
        return self._train_loader(images, n_batches, as_they_come)

    def _cut_to(self) -> dict[str, Any]:
        return {}  # an image is all of it, at any size

    def _images(self) -> dict[str, Images]:
        if not self._found:
            columns = self.image_column, self.label_column
            trains = not self._evaluates_other
            self._found = load_images(self.path, self.subset, *columns, trains)
        return self._found

    def _reader(self, split: str, size: int) -> Reader:
        # Those that a checkpoint has learned others are converted to.
        channels = self.channels if self._adopted is None else self._known["n_channels"]
        return Reader(self._images()[split], size, channels, self.antialias, self.path)

    def _dataset(self, split: str, length: int) -> LabelledImages:
        name, items = self._items(split)
        known = self.meaning()
        mean, std = (torch.tensor(known[key]) for key in ("mean", "std"))
        return LabelledImages(
            self._reader(name, length), self._numbered(name).numbers, items, mean, std
        )

    def _items(self, split: str) -> tuple[str, Tensor]:
        """Which of the source's splits is read, and which of its images.

        Raises:
            ValueError: if none of them can be scored.
        """
        name, items = self._rows_of(split, {name: len(f) for name, f in self._images().items()})
        if split == "predict":
            return name, items
        found = self._numbered(name)
        scored = items[found.numbers[items] != IGNORE]
        if not len(scored):
            source, column = f"data.path={self.path}", self.label_column
            raise found.nothing_to_score("images", source, column, self.class_names)
        return name, scored

    def _numbered(self, name: str) -> Numbered:
        return numbered(self._images()[name].labels, self.class_names)

    def _extent(self, split: str) -> str:
        name, items = self._items(split)
        found = self._numbered(name)
        if split == "predict":
            return f"all {len(found.numbers):,} images of {self.path}"
        if name == "train" and not self._evaluates_other:
            return f"the {len(items):,} images of {self.path} that training left out"
        return found.extent(len(items), f"images of {self.path}")

    def _own_meaning(self) -> dict[str, Any]:
        images = self._images()
        names = self._own_class_names(images)
        reader = self._reader("train", self.image_size)
        n_channels = reader.n_channels
        mean, std = self.mean, self.std
        for name, given in (("mean", mean), ("std", std)):
            if given is not None and len(given) != n_channels:
                raise wrong(self, name, given, f"have a number for each of {n_channels} channels")
        if mean is None or std is None:
            own = _statistics(reader, len(images["train"]))
            mean, std = mean or own[0], std or own[1]
        return {"class_names": names, "n_channels": n_channels, "mean": mean, "std": std}

    def _own_class_names(self, images: Mapping[str, Images]) -> list[str]:
        source = f"data.path={self.path}"
        for name, found in images.items():
            check_all_labelled(found.labels, f"{name} images", source, self.label_column)
        if names := images["train"].names:
            return names
        labels = [label for found in images.values() for label in found.labels]
        return [str(each) for each in classes_of(labels, self.label_column, self.path, False)]


def _statistics(reader: Reader, n_images: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, over some images."""
    step = -(-n_images // N_MEASURED)
    total = torch.zeros(2, reader.n_channels, dtype=torch.float64)
    chosen = torch.arange(0, n_images, step).split(64)
    for numbers in chosen:
        pixels = reader.read(numbers.tolist()).double()
        total += torch.stack([pixels, pixels.square()]).mean(dim=(3, 4)).sum(dim=1)
    mean, square = total / sum(map(len, chosen))
    std = (square - mean.square()).clamp(min=0).sqrt().clamp(min=LEAST_STD)
    return mean.tolist(), std.tolist()
