"""Images from folders, arrays and scikit-learn's digits; their faults, in one line each."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image, Value
from PIL import Image as Picture
from torch import nn
from torch.nn import functional as F

from lightning_posenc.data import ImageData, RandomShift
from lightning_posenc.data.images.images import FilesOfImages
from lightning_posenc.data.images.pixels import squares
from lightning_posenc.tasks import IGNORE

pytestmark = pytest.mark.usefixtures("private_cache")


def ready(path, size=8, stage="fit", **options):
    data = ImageData(str(path), size, **{"batch_size": 4, **options})
    data.prepare_data()
    data.setup(stage)
    return data


def folder(root, sizes=((8, 8),), modes=("L",), n=6):
    """Pictures of two classes, each of its class's brightness, sizes and modes in turn."""
    for number in range(n):
        kind = ("cat", "dog")[number % 2]
        (root / kind).mkdir(parents=True, exist_ok=True)
        height, width = sizes[number % len(sizes)]
        value = np.full((height, width), 200 if kind == "dog" else 50, np.uint8)
        picture = Picture.fromarray(value).convert(modes[number % len(modes)])
        picture.save(root / kind / f"{number}.png")
    return root


def npz(file, **arrays):
    np.savez(file, **arrays)
    return file


def test_digits_are_divided_once_and_tested_at_each_size():
    pytest.importorskip("sklearn")
    data = ready("digits", eval_sizes=[8, 12], batch_size=64)
    assert data.class_names == [str(n) for n in range(10)]
    assert data.vocab_size is None
    assert data.trained_lengths == (8, 8)
    splits = [data.train_dataloader(), data.val_dataloader(), *data.test_dataloader()]
    items = [loader.dataset.items for loader in splits]
    assert [len(each) for each in items] == [1295, 143, 359, 359]
    assert not set(items[0].tolist()) & set(items[1].tolist())
    small, large = (next(iter(loader)) for loader in splits[2:])
    assert large.tokens.shape == (64, 1, 12, 12)
    assert torch.equal(small.targets, large.targets)
    mean, std = (data.meaning()[key][0] for key in ("mean", "std"))
    raw = small.tokens * std + mean
    assert raw.amin() > -1e-6
    assert raw.amax() < 1 + 1e-6
    whole = splits[0].dataset.batch(list(range(1295)), None).tokens
    assert abs(whole.mean()) < 0.05
    assert abs(whole.std() - 1) < 0.05
    grown = F.interpolate(raw, (12, 12), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(large.tokens, (grown - mean) / std)


def test_a_folder_has_a_folder_for_each_class(tmp_path):
    data = ready(folder(tmp_path / "made", sizes=((8, 8), (16, 12))), mean=[0.0], std=[1.0])
    assert data.class_names == ["cat", "dog"]
    assert data.meaning() == {
        "class_names": ["cat", "dog"], "n_channels": 1, "mean": [0.0], "std": [1.0]
    }  # fmt: skip
    batch = next(iter(data.train_dataloader()))
    assert batch.tokens.shape == (4, 1, 8, 8)
    values = torch.where(batch.targets == 1, 200 / 255, 50 / 255)
    torch.testing.assert_close(batch.tokens, values[:, None, None, None].expand(-1, 1, 8, 8))
    elsewhere = ready(folder(tmp_path / "moved", sizes=((8, 8), (16, 12))))
    assert elsewhere.stream() == data.stream()
    assert data.predicted(0, 1, [0.2, 0.8]) == {
        "file": "cat/0.png", "prediction": "dog", "probabilities": {"cat": 0.2, "dog": 0.8}
    }  # fmt: skip


def test_files_that_are_predicted_need_no_class(tmp_path, trainer):
    """They are all read, and named; trained on they are refused."""
    known = ready(folder(tmp_path / "known"))
    loose = folder(tmp_path / "loose")
    for n in (0, 2):
        (loose / "cat" / f"{n}.png").rename(loose / f"{n}.png")
    other = ImageData(str(loose), image_size=8, batch_size=4)
    other.adopt(known.state_dict() | {"stream": {}})
    other.trainer = runs = trainer()
    runs.state.fn = "predict"
    other.setup("predict")
    targets = [n for batch in other.predict_dataloader() for n in batch.targets.tolist()]
    files = [other.predicted(row, 0, None)["file"] for row in range(len(targets))]
    assert dict(zip(files, targets, strict=True)) == {
        file: {"cat": 0, "dog": 1, ".": IGNORE}[str(Path(file).parent)] for file in files
    }
    assert {"0.png", "2.png"} < set(files)
    with pytest.raises(ValueError, match=r"0\.png is in no folder of a class"):
        ready(loose)


def test_grey_and_colour_are_not_mixed_unasked(tmp_path):
    mixed = folder(tmp_path, modes=("L", "L", "RGB"))
    with pytest.raises(ValueError, match=r"cat/2\.png is in colour, others are grey: set da"):
        ready(mixed)
    for channels in (1, 3):
        batch = next(iter(ready(mixed, channels=channels).train_dataloader()))
        assert batch.tokens.shape == (4, channels, 8, 8)


def test_splits_are_folders_of_that_name_alone(tmp_path):
    folder(tmp_path / "train")
    folder(tmp_path / "test", n=3)
    data = ready(tmp_path)
    loaders = data.train_dataloader(), *data.test_dataloader()
    assert [len(loader.dataset) for loader in loaders] == [5, 3]
    Picture.new("L", (8, 8)).save(tmp_path / "train" / "x.png")
    with pytest.raises(
        ValueError, match=r"train/x\.png is in no folder of a class: put each image"
    ):
        ready(tmp_path)


def test_a_file_that_is_no_picture(tmp_path):
    broken = folder(tmp_path)
    (broken / "cat" / "2.png").write_bytes((broken / "cat" / "0.png").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"cat/2\.png cannot be read \(.*\)"):
        ready(broken)


RAMP = np.linspace(0, 1, 64).reshape(8, 8)
DEEP = {
    "16 bits": Picture.fromarray((RAMP * 65535).astype(np.uint16)),
    "big-endian": Picture.frombytes("I;16B", (8, 8), (RAMP * 65535).astype(">u2").tobytes()),
    "32 bits": Picture.fromarray((RAMP * 65535).astype(np.int32)),
    "floats": Picture.fromarray(RAMP.astype(np.float32)),
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("channels", [None, 3])
def test_more_than_eight_bits_are_neither_cut_nor_darkened(tmp_path, kind, channels):
    DEEP[kind].save(tmp_path / "x.tiff")
    found = FilesOfImages(tmp_path, [Path("x.tiff")], "here").pixels(0, channels)
    expected = RAMP[..., None].repeat(channels or 1, axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (Picture.fromarray(RAMP.astype(np.float32) * 9), "holds floats from 0 to 9: scale them"),
        (Picture.fromarray((RAMP * 1e6).astype(np.int32)), "holds whole numbers from 0 to 1e.06: "),
        (Picture.fromarray(np.full((8, 8), np.nan, np.float32)), "holds floats from nan to nan"),
        (Picture.new("LAB", (8, 8)), "has LAB colours, which cannot be converted: save it as RGB"),
    ],
)
def test_values_that_no_pixel_has(tmp_path, picture, said):
    picture.save(tmp_path / "x.tiff")
    with pytest.raises(ValueError, match=f"^data.path=here: x.tiff {said}"):
        FilesOfImages(tmp_path, [Path("x.tiff")], "here").pixels(0, 1)


def test_a_picture_is_turned_upright(tmp_path):
    """As `datasets` turns it: a camera on its side says so in EXIF."""
    lying = np.zeros((4, 8), np.uint8)
    lying[:, :4] = 200
    exif = Picture.Exif()
    exif[0x0112] = 6  # its right side is to be below
    Picture.fromarray(lying).save(tmp_path / "x.png", exif=exif)
    found = FilesOfImages(tmp_path, [Path("x.png")], "here").pixels(0, None)
    np.testing.assert_array_equal(found[..., 0], np.rot90(lying, -1))


def test_columns_of_a_table(tmp_path):
    features = Features(picture=Image(), text=Value("string"), kind=Value("string"))
    pictures = [Picture.new("RGB", (8, 8), (n, 0, 0)) for n in range(4)]
    rows = {"picture": pictures, "text": ["x"] * 4, "kind": ["b", "a", "b", "a"]}
    file = tmp_path / "rows.parquet"
    Dataset.from_dict(rows, features).to_parquet(file)
    named = {"image_column": "picture", "label_column": "kind"}
    assert ready(file, **named).class_names == ["a", "b"]
    with pytest.raises(ValueError, match=r"has no column 'image': set data.image_column to one of"):
        ready(file)
    with pytest.raises(ValueError, match=r"holds string: set data.image_column to one of picture"):
        ready(file, image_column="text")
    with pytest.raises(ValueError, match="4 of 4 train images have no label in column 'label', th"):
        ready(file, image_column="picture")


PIXELS, LABELS = np.zeros((6, 4, 4), np.uint8), np.array([0, 1, 2] * 2)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"a": LABELS}, r"holds a: call its arrays images and labels"),
        ({"images": LABELS}, r"images must be \(images, rows, columns\), .* got \(6,\)"),
        ({"images": PIXELS[:0]}, "is empty: give a source with images"),
        ({"images": PIXELS.astype(int)}, "images holds int64: give uint8, or floats"),
        ({"images": PIXELS + np.float32(2)}, "floats from 2 to 2: scale them to 0 to 1"),
        ({"images": PIXELS, "labels": LABELS[:3]}, r"labels must be 6 whole numbers or names, one"),
        ({"images": PIXELS}, "6 of 6 train images have no label in column 'label'"),
        ({"test_images": PIXELS, "test_labels": LABELS}, "has no split named train, only test"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, arrays, said):
    with pytest.raises(ValueError, match=said):
        ready(npz(tmp_path / "x.npz", **arrays))


def test_archives_that_hold_no_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images", "some text")
    with pytest.raises(ValueError, match=r"could not be loaded \(images is no array\): give a"):
        ready(tmp_path / "x.npz")
    with (tmp_path / "y.npz").open("wb") as file:
        np.save(file, PIXELS)
    with pytest.raises(ValueError, match=r"could not be loaded \(it is a single array, as numpy.s"):
        ready(tmp_path / "y.npz")


def test_arrays_of_two_splits(tmp_path):
    shades = np.arange(6, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2) * 10
    colour = shades.repeat(3, 3)
    file = npz(tmp_path / "x.npz", x_train=colour, y_train=LABELS, x_test=colour, y_test=LABELS)
    data = ready(file, 2, eval_sizes=[4])
    assert data.class_names == ["0", "1", "2"]
    (test,) = data.test_dataloader()
    (first, *_) = batches = list(test)
    assert sum(len(batch.tokens) for batch in batches) == 6
    assert first.tokens.shape == (4, 3, 4, 4)
    assert first.targets.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("gone.npz", FileNotFoundError, "does not exist: give a folder of images"),
        ("x.txt", ValueError, "is of no known kind: give a folder of images"),
        ("x.npz", ValueError, "could not be loaded"),
        (None, ValueError, "data.path is empty: give a folder of images"),
    ],
)
def test_paths_that_lead_nowhere(tmp_path, path, error, said):
    for name in ("x.txt", "x.npz"):
        (tmp_path / name).write_text("some text")
    with pytest.raises(error, match=said) as caught:
        ready(tmp_path / path) if path else ImageData()
    assert "\n" not in str(caught.value)


def test_an_image_is_resized_by_its_shorter_side_and_cut():
    image = torch.rand(3, 6, 9)
    (found,) = squares([image], 6, True)
    assert torch.equal(found, image[:, :, 1:7])
    both = squares([image, torch.rand(3, 12, 12)], 4, False)
    wide = F.interpolate(image[None], (4, 6), mode="bicubic").clamp(0, 1)
    torch.testing.assert_close(both[:1], wide[..., 1:5])


class Noise(nn.Module):
    """Changes an image by what it draws."""

    def forward(self, image):
        return (image + torch.rand_like(image)) / 2


def test_an_augmented_image_is_a_function_of_the_seed_and_its_place(tmp_path):
    """Neither batches, ranks nor restarts change it, and no two passes are alike."""
    pixels = np.random.default_rng(0).integers(0, 255, (8, 4, 4)).astype(np.uint8)
    file = npz(tmp_path / "x.npz", images=pixels, labels=np.arange(8) % 2)
    options = {"augment": Noise(), "val_fraction": 0.2, "mean": [0.0], "std": [1.0], "seed": 3}
    data = ready(file, 4, **options)
    images = data.train_dataloader().dataset
    assert len(images) == 7
    before = torch.random.get_rng_state()
    whole = images.__getitems__(list(range(14)))
    assert torch.equal(torch.random.get_rng_state(), before)
    parts = [ready(file, 4, **options).train_dataloader().dataset[n] for n in (9, 2)]
    for n, part in zip((9, 2), parts, strict=True):
        assert torch.equal(part.tokens[0], whole.tokens[n])
        assert part.targets[0] == whole.targets[n]
    plain = ready(file, 4, **{**options, "augment": None}).train_dataloader().dataset
    items = images.order(torch.arange(14))
    assert sorted(items[:7].tolist()) == sorted(items[7:].tolist()) == list(range(7))
    difference = whole.tokens * 2 - plain.__getitems__(items.tolist()).tokens
    assert difference.amin() >= 0
    again = items[:7].argsort(), items[7:].argsort() + 7
    assert not torch.isclose(*(difference[each] for each in again)).any()
    images.augment = nn.Flatten(0)
    with pytest.raises(ValueError, match=r"data.augment must give .* \(1, 4, 4\), and gave \(16"):
        images[0]


def test_a_random_shift_moves_by_so_many_pixels_at_most():
    torch.manual_seed(0)
    image = torch.zeros(1, 5, 5)
    image[0, 2, 2] = 1
    moved = [tuple(RandomShift(1)(image)[0].nonzero()[0].tolist()) for _ in range(200)]
    assert set(moved) == {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}
    assert torch.equal(RandomShift(0)(image), image)


def test_other_images_are_read_as_a_checkpoint_reads(tmp_path):
    """In its colours, normalised as its own, classes by name; those that it lacks not scored."""
    first = ready(npz(tmp_path / "a.npz", images=PIXELS + np.uint8(9), labels=LABELS))
    others = np.full((4, 6, 6, 3), 0.5)
    others[..., 2] = 1
    other = npz(tmp_path / "b.npz", images=others, labels=np.array([1, 2, 3, 1]))
    second = ImageData(str(other), 8, batch_size=4)
    second.adopt(first.state_dict())
    second.setup("test")
    (batch,) = second.test_dataloader()[0]
    assert batch.targets.tolist() == [1, 2, 1]
    (mean,), (std,) = (first.meaning()[key] for key in ("mean", "std"))
    grey = (0.5 * (0.299 + 0.587) + 0.114 - mean) / std
    torch.testing.assert_close(batch.tokens, torch.full((3, 1, 8, 8), grey))
    assert second.meaning() == first.meaning()
