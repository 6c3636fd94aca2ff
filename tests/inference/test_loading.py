"""A checkpoint alone is enough, and runs no code."""

from pathlib import Path

import lightning as L
import pytest
import torch

import lightning_posenc
from lightning_posenc.modules.scored import MODULE


def trainer(folder: Path) -> L.Trainer:
    return L.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, default_root_dir=folder,
        limit_val_batches=0,
    )  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path: Path, classifier, moods: Path) -> Path:
    """Of a program; the data that it was trained on is gone."""
    made = trainer(tmp_path)
    made.fit(classifier.module.train(), classifier.data)
    made.save_checkpoint(path := tmp_path / "x.ckpt")
    classifier.module.eval()
    moods.unlink()
    return path


def test_of_a_program_without_its_data(checkpoint: Path, classifier) -> None:
    state = torch.get_rng_state()
    model = lightning_posenc.load(checkpoint, device="cpu")
    assert torch.equal(torch.get_rng_state(), state), "a notebook's random numbers are its own"
    assert model.labels == ["anger", "joy"]
    assert model("I am so happy") == classifier("I am so happy")
    assert (model.path, model.step) == (checkpoint, 1)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("os.system", "os.system, which belongs to none of"),
        ("lightning_posenc.data.Batch", "is no module of lightning_posenc"),
        ("lightning_posenc.nowhere.X", "cannot be imported"),
        ("lightning_posenc.checks.os.system", "cannot be imported"),
    ],
)
def test_what_it_names_is_not_called(checkpoint: Path, named: str, said: str) -> None:
    contents = torch.load(checkpoint, weights_only=True)
    torch.save(contents | {MODULE: named}, checkpoint)
    with pytest.raises(ValueError, match=said):
        lightning_posenc.load(checkpoint)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(b"nothing")
    for path, said in (
        ("a.ckpt", "not a whole checkpoint"),
        ("no", "not exist"),
        (".", "no check"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=said):
            lightning_posenc.load(tmp_path / path)
