"""Weights of another run to begin with, a test of the best ones, files of validation and test."""

import csv
import json
from pathlib import Path

import pytest
import torch

from lightning_posenc.cli import main
from lightning_posenc.data import TextClassificationData, TextPairData
from lightning_posenc.data.saying import forget
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, SequenceClassifier
from lightning_posenc.positional import ALiBi, LearnedAbsolute
from lightning_posenc.training.warm_start import begin_with, checkpoint_of

SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=1)
COMMON = [
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}", "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
]  # fmt: skip


def saved(module: torch.nn.Module, path: Path) -> Path:
    progress = {"global_step": 3, "epoch": 0, "pytorch-lightning_version": "2.6"}
    torch.save({"state_dict": module.state_dict(), **progress}, path)
    return path


def test_what_fits_is_taken_and_the_rest_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another head, and another encoding."""
    forget()
    first = LanguageModel(SPEC, 11, positional=lambda dims: LearnedAbsolute(dims, max_length=8))
    path = saved(first, tmp_path / "a.ckpt")
    second = SequenceClassifier(SPEC, 11, 3, positional=ALiBi)
    head = second.head.weight.clone()
    begin_with(second, path)
    theirs, ours = first.state_dict(), second.state_dict()
    shared = [name for name in ours if name in theirs]
    assert "embedding.weight" in shared
    assert all(torch.equal(ours[name], theirs[name]) for name in shared)
    assert torch.equal(second.head.weight, head)
    said = capsys.readouterr().err
    assert "begun anew: head.weight, head.bias; not taken: encoder.positional." in said
    with pytest.raises(ValueError, match="none of its weights fits"):
        begin_with(torch.nn.Linear(2, 2), path)
    with pytest.raises(ValueError, match="name a run's directory"):
        checkpoint_of(tmp_path / "none")


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, rows in (("a", "so glad,joy\nso mad,anger\n" * 20), ("val", "glad,joy\nmad,anger\n"),
                       ("test", "glad,joy\nmad,anger\nglad,joy\n")):  # fmt: skip
        (tmp_path / f"{name}.csv").write_text("text,label\n" + rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sizes(data: TextClassificationData, stage: str) -> dict[str, int]:
    data.prepare_data()
    data.setup(stage)
    return {split: len(data._dataset(split, 8)) for split in ("train", "val", "test", "predict")}


def test_validation_and_test_have_files_of_their_own(tables: Path) -> None:
    data = TextClassificationData("a.csv", val_path="val.csv", test_path="test.csv", train_length=8)
    assert sizes(data, "fit") == {"train": 40, "val": 2, "test": 3, "predict": 3}
    state = data.state_dict()
    assert state["options"]["test_path"] == "test.csv"
    (tables / "b.csv").write_text("text,label\nglad,joy\n" * 1 + "mad,anger\n" * 4)
    other = TextClassificationData("b.csv", val_path="val.csv", test_path="test.csv")
    other.adopt(state)  # of the checkpoint's files nothing is read
    other.prepare_data()
    assert [len(other._dataset(split, 8)) for split in ("val", "test", "predict")] == [5, 5, 5]
    newer = TextClassificationData("a.csv", val_path="val.csv", test_path="b.csv")
    newer.adopt(state)
    newer.prepare_data()
    assert len(newer._dataset("test", 8)) == 5
    with pytest.raises(FileNotFoundError, match=r"none\.csv does not exist"):
        sizes(TextClassificationData("a.csv", val_path="none.csv"), "fit")
    (tables / "c.csv").write_text("text\nglad\n")
    with pytest.raises(ValueError, match=r"c\.csv.*no label|c\.csv has no column 'label'"):
        sizes(TextClassificationData("a.csv", test_path="c.csv"), "fit")
    for name in ("p", "q"):
        (tables / f"{name}.csv").write_text("source,target\n" + "a,b\n" * (2 if name == "p" else 5))
    pairs = TextPairData("p.csv", val_path="q.csv", train_length=8)
    pairs.setup("fit")
    assert [len(pairs._dataset(split, 8)) for split in ("train", "val", "test")] == [2, 5, 5]


@pytest.mark.slow
def test_from_a_language_model_to_a_classifier(
    tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the pieces that its weights know; tested with the best weights; logged as it trains."""
    cut = ["--data.vocabulary=bpe", "--data.vocabulary_size=270", "--data.path=a.csv"]
    lm = [
        "fit",
        "--config=text_offline",
        *cut,
        *COMMON,
        "--data.train_length=4",
        "--run_dir=lm",
        "--trainer.logger=false",
    ]
    assert main([*lm, "--trainer.max_steps=2", "--data.steps_per_epoch=2"]) == 0
    (tables / "new.csv").write_text("text,label\n" + "what fun,joy\noh no,anger\n" * 20)
    cut[-1] = "--data.path=new.csv"
    cls = ["fit", "--config=text_classification", *cut, *COMMON, "--run_dir=c", "--warm_start=lm"]
    cls += ["--data.batch_size=8", "--trainer.max_epochs=3", "--trainer.log_every_n_steps=1"]
    capsys.readouterr()
    assert main([*cls, "--test_best=true", "--model.optimizer.lr=0.05"]) == 0
    said = capsys.readouterr().err
    assert "warm start: " in said
    assert "test: of " in said
    assert "beware: 3 epochs of this data are 12 steps, few to learn by" in said
    states = [torch.load(run / "checkpoints/last.ckpt", weights_only=True)
              for run in (tables / "lm", tables / "c")]  # fmt: skip
    pieces = [states[0]["TextData"], states[1]["TextClassificationData"]]
    assert pieces[0]["meaning"]["vocabulary"] == pieces[1]["meaning"]["vocabulary"]
    metrics = json.loads((tables / "c/summary.json").read_text())["metrics"]
    with (tables / "c/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    least = min(float(row["val/loss"]) for row in rows if row["val/loss"])
    assert metrics["test/loss/len_128"] == pytest.approx(least, rel=1e-5)
    for name in ("train/lr", "train/acc", "train/loss"):
        assert all(float(row[name]) >= 0 for row in rows if row[name])
        assert any(row[name] for row in rows)
