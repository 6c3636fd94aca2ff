"""Where images come from: what a path means, and its images for training, validation and test."""

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_posenc.data.images.images import FilesOfImages, HeldImages, Images, RowsOfImages
from lightning_posenc.data.text.hub import from_hub, no_counting
from lightning_posenc.data.text.labels import Label
from lightning_posenc.data.text.reading import readable
from lightning_posenc.data.text.sources import SPLITS_OF_LIBRARIES, by_our_names
from lightning_posenc.draws import Draws

if TYPE_CHECKING:
    from datasets import Dataset

DIGITS = "digits"
PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
GIVE = (
    "a folder of images in a folder for each class, a .npz or .parquet file, digits, or the name "
    "of a dataset on the Hub"
)
SOME = "give a source with images in it"
HELD_OUT = 0.2  # of the digits, for the test
_BRIGHTEST = 16  # value of a pixel of the digits
_ARRAYS = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))  # of MedMNIST, and of Keras
_PLAIN = ("images", "labels")


def load_images(
    path: str, subset: str | None, image_column: str, label_column: str, trains: bool = True
) -> dict[str, Images]:
    """The images of a source: `train`, and `val` and `test` if it has such splits.

    Args:
        path: What `GIVE` says.
        subset: Which of a Hub dataset's subsets, or None.
        image_column: Which column holds the image.
        label_column: Which column holds the class.
        trains: Whether there must be a split named train.

    Raises:
        FileNotFoundError: If the path is that of a file that does not exist.
        ValueError: If the source cannot be read, is empty, or lacks a column.
    """
    if path == DIGITS:
        return digits()
    file = Path(path).expanduser()
    found: dict[str, Images] = {}
    if file.suffix == ".npz" and file.is_file():
        found.update(_of_arrays(path, file))
    elif file.is_dir():
        found.update(_of_folders(path, file, trains))
    if not found:
        splits = _rows(path, file, subset)
        for name, rows in splits.items():
            _check_columns(path, rows, image_column)
            found[name] = RowsOfImages(rows, image_column, label_column, path)
    if trains and "train" not in found:
        raise ValueError(f"data.path={path} has no split named train, only {', '.join(found)}")
    return found


def _of_folders(path: str, root: Path, trains: bool) -> dict[str, FilesOfImages]:
    """The pictures of a folder, by split; none if it holds no picture.

    Raises:
        ValueError: If one is to be trained on and in no folder of a class.
    """
    files: dict[str, list[Path]] = {}
    splits = {name: ours for ours, theirs in SPLITS_OF_LIBRARIES.items() for name in theirs}
    for file in sorted(root.rglob("*")):
        place = file.relative_to(root)
        if file.suffix.lower() not in PICTURES or any(part[0] == "." for part in place.parts):
            continue
        split = splits.get(place.parts[0]) if len(place.parts) > 1 else None
        if trains and len(place.parts) < (2 if split is None else 3):
            raise ValueError(
                f"data.path={path}: {place} is in no folder of a class: put each image into one"
            )
        files.setdefault(split or "train", []).append(place)
    roots = Path(), *map(Path, splits)
    return {split: FilesOfImages(root, found, path, roots) for split, found in files.items()}


def digits() -> dict[str, Images]:
    """1,797 handwritten digits of 8 x 8 pixels, a fifth of them for the test, drawn once.

    Source: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, as scikit-learn ships it.

    Raises:
        ValueError: If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ValueError(
            "data.path=digits: scikit-learn is not installed, which holds them: "
            "pip install 'lightning-posenc[vision]'"
        ) from error
    held = load_digits()
    order = Draws(0, DIGITS, torch.tensor([0])).permutation(len(held.target))[0].numpy()
    n_test = round(HELD_OUT * len(order))
    parts = {"train": np.sort(order[n_test:]), "test": np.sort(order[:n_test])}
    pixels = (held.images / _BRIGHTEST).astype(np.float32)
    names = [str(name) for name in held.target_names]
    return {
        split: HeldImages(pixels[rows], [names[n] for n in held.target[rows]], names)
        for split, rows in parts.items()
    }


def _of_arrays(path: str, file: Path) -> dict[str, HeldImages]:
    """The arrays of a .npz file, by split."""
    try:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array, as numpy.save writes it")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray):
                raise ValueError(f"{name} is no array")
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"data.path={path} could not be loaded ({reason}): give a .npz file of arrays of "
            "numbers, as numpy.savez writes it"
        ) from error
    pairs: dict[str, tuple[str, str]] = {"train": _PLAIN} if _PLAIN[0] in arrays else {}
    for ours, theirs in SPLITS_OF_LIBRARIES.items():
        for images, labels in _ARRAYS:
            for name in theirs:
                if images.format(name) in arrays:
                    pairs[ours] = images.format(name), labels.format(name)
    if not pairs:
        raise ValueError(
            f"data.path={path} holds {', '.join(arrays) or 'nothing'}: call its arrays images and "
            "labels, or train_images, train_labels, test_images, …"
        )
    return {
        split: HeldImages(
            _checked_pixels(path, images, arrays[images]),
            _checked_labels(path, labels, arrays.get(labels), len(arrays[images])),
        )
        for split, (images, labels) in pairs.items()
    }


def _checked_pixels(path: str, name: str, pixels: NDArray[Any]) -> NDArray[Any]:
    fits = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] in (1, 3))
    if not fits or 0 in pixels.shape[1:]:
        raise ValueError(
            f"data.path={path}: {name} must be (images, rows, columns), or with 1 or 3 channels "
            f"last, got {pixels.shape}"
        )
    if not len(pixels):
        raise ValueError(f"data.path={path} is empty: {SOME}")
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind != "f":
        raise ValueError(
            f"data.path={path}: {name} holds {pixels.dtype}: give uint8, or floats from 0 to 1"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(
            f"data.path={path}: {name} holds floats from {low:g} to {high:g}: scale them to 0 to "
            "1, or give uint8"
        )
    return pixels


def _checked_labels(path: str, name: str, labels: Any, n: int) -> list[Label]:
    if labels is None:
        return [None] * n
    if labels.shape not in ((n,), (n, 1)) or labels.dtype.kind not in "iubU":
        raise ValueError(
            f"data.path={path}: {name} must be {n} whole numbers or names, one for each image, got "
            f"{labels.shape} of {labels.dtype}"
        )
    return [label if isinstance(label, str) else int(label) for label in labels.ravel().tolist()]


def _rows(path: str, file: Path, subset: str | None) -> "dict[str, Dataset]":
    """The rows of a folder, a file or a dataset of the Hub, by our names of the splits."""
    from datasets import load_dataset

    if file.is_dir() or file.is_file():
        if file.is_file() and file.suffix != ".parquet":
            raise ValueError(f"data.path={path} is of no known kind: give {GIVE}")
        if file.is_file() and not file.stat().st_size:
            raise ValueError(f"data.path={path} is empty: {SOME}")
        local: dict[str, Any] = {"path": str(file)}
        if file.is_file():
            local = {"path": "parquet", "data_files": {"train": str(file.absolute())}}
        with readable(path, GIVE), no_counting():
            loaded = load_dataset(**local)
    elif file.suffix in (".npz", ".parquet") or file.is_absolute() or path[0] in ".~":
        raise FileNotFoundError(f"data.path={path} does not exist: give {GIVE}")
    else:
        loaded = from_hub(path, subset)
    found = by_our_names(loaded)
    if not found:
        raise ValueError(f"data.path={path} has no split named train, only {', '.join(loaded)}")
    return found


def _check_columns(path: str, rows: "Dataset", image_column: str) -> None:
    from datasets import Image

    if not len(rows):
        raise ValueError(f"data.path={path} is empty: {SOME}")
    columns = rows.features
    if image_column not in columns:
        raise ValueError(
            f"data.path={path} has no column {image_column!r}: set data.image_column to one of "
            f"{', '.join(columns)}"
        )
    if not isinstance(columns[image_column], Image):
        held = getattr(columns[image_column], "dtype", columns[image_column])
        others = [name for name, kind in columns.items() if isinstance(kind, Image)]
        remedy = (
            f"set data.image_column to one of {', '.join(others)}"
            if others
            else "give a source with pictures"
        )
        raise ValueError(f"data.path={path}: column {image_column!r} holds {held}: {remedy}")
