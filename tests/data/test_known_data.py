"""From Python, too, other data is evaluated as it was read in training (B2, B3)."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lightning_posenc.data import TextClassificationData
from lightning_posenc.data.saying import forget
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import NoPE

pytestmark = pytest.mark.usefixtures("private_cache")
TRAINED, OTHER = ["anger", "fear", "joy"], ["fear", "joy", "love"]


def table(folder: Path, names: list[str], **options: Any) -> TextClassificationData:
    file = folder / f"{'_'.join(names)}.csv"
    rows = [f"{name * 4},{name}" for name in names * 8]
    file.write_text("\n".join(["text,label", *rows]))
    return TextClassificationData(str(file), train_length=8, batch_size=8, **options)


def trainer(**options: Any) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[SequenceClassifier, Path]:
    """A module that has learned what TRAINED is called, and its checkpoint."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("names")
    rate = {"optimizer": lambda groups: torch.optim.Adam(groups, 0.02), "schedule": None}
    module = SequenceClassifier(EncoderSpec(16, 2, 1), 256, 3, positional=NoPE, **rate)
    fits = trainer(max_epochs=12)
    fits.fit(module, table(folder, TRAINED))
    assert fits.test(module, table(folder, TRAINED), verbose=False)[0]["test/acc/len_8"] == 1
    fits.save_checkpoint(folder / "run.ckpt")
    return module, folder / "run.ckpt"


def loaded(path: Path) -> SequenceClassifier:
    adam = torch.optim.Adam
    found = SequenceClassifier.load_from_checkpoint(path, weights_only=True, optimizer=adam)
    assert isinstance(found, SequenceClassifier)
    return found


@pytest.mark.parametrize("way", ["trained here", "loaded", "ckpt_path"])
def test_classes_are_scored_by_name(
    way: str, trained: tuple[SequenceClassifier, Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Of fear, joy and love it knows two, under other numbers than this file gives them."""
    forget()
    module, path = trained
    if way != "trained here":
        module = loaded(path)
    ckpt_path = path if way == "ckpt_path" else None
    data = table(tmp_path, OTHER)
    (scores,) = trainer().test(module, data, ckpt_path=ckpt_path, verbose=False, weights_only=True)
    assert scores["test/acc/len_8"] == 1
    assert data.class_names == TRAINED
    if way == "ckpt_path":
        assert "16 of the 24 texts" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["test", "validate", "predict"])
def test_what_cannot_be_read_so_is_refused(
    stage: str, trained: tuple[SequenceClassifier, Path], tmp_path: Path
) -> None:
    data = table(tmp_path, OTHER, vocabulary="chars")
    with pytest.raises(ValueError, match="vocabulary=chars: the checkpoint was trained with bytes"):
        getattr(trainer(), stage)(trained[0], data)


def test_training_on_other_names_is_said(
    trained: tuple[SequenceClassifier, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not refused: another head may be what is wanted."""
    forget()
    trainer(max_steps=1).fit(loaded(trained[1]), table(tmp_path, OTHER))
    assert capsys.readouterr().err.count("classes were numbered otherwise") == 1
