"""On the command line: a checkpoint's data is read, scored and predicted as in training (B2-B4)."""

import json
from pathlib import Path

import pytest

from lightning_posenc.cli import main

pytestmark = pytest.mark.slow

TINY = [
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}",
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.log_every_n_steps=1",
]
NAMES = ["anger", "fear", "joy"]


def table(folder: Path, name: str, names: list[str], n: int = 30) -> str:
    rows = [f"I feel {names[i % len(names)]},{names[i % len(names)]}" for i in range(n)]
    (folder / name).write_text("\n".join(["text,label", *rows]))
    return str(folder / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of a text classifier."""
    folder = tmp_path_factory.mktemp("classes")
    path = table(folder, "train.csv", NAMES, 60)
    data = ["--data=TextClassificationData", f"--data.path={path}", "--data.train_length=12"]
    model = ["--model=SequenceClassifier", *TINY]
    run = ["--data.batch_size=6", f"--run_dir={folder / 'run'}"]
    assert main(["fit", *model, *data, *run]) == 0
    return folder


def call(command: str, folder: Path, tmp_path: Path, *args: str) -> int:
    ran = ["--ckpt_path", str(folder / "run"), f"--run_dir={tmp_path / 'out'}"]
    return main([command, *ran, *args])


def lines_of(tmp_path: Path) -> list[str]:
    return (tmp_path / "out/predictions.jsonl").read_text("utf-8").splitlines()


def error(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


def test_other_data_is_tested_whole_and_by_name(folder, tmp_path, capsys):
    """B2, F-C: of classes fear, joy, love the first two are scored; all rows are."""
    other = table(folder, "other.csv", ["fear", "joy", "love"], 24)
    assert call("test", folder, tmp_path, f"--data.path={other}") == 0
    said = capsys.readouterr().err
    assert f"test: 16 of the 24 texts of {other}; not scored: 8 of classes" in said


def test_a_line_for_every_row_without_labels(folder, tmp_path):
    """B4: with its number, the name of its class, and all probabilities."""
    plain = folder / "plain.csv"
    plain.write_text("text\n" + "".join(f"I feel {name}\n" for name in NAMES * 5))
    assert call("predict", folder, tmp_path, f"--data.path={plain}") == 0
    lines = [json.loads(line) for line in lines_of(tmp_path)]
    assert [line["row"] for line in lines] == list(range(15))
    for line in lines:
        assert list(line["probabilities"]) == NAMES
        assert line["prediction"] == max(NAMES, key=line["probabilities"].__getitem__)
        assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert lines[0] == {**lines[3], "row": 0}


@pytest.mark.parametrize("command", ["test", "diagnose"])
def test_an_option_that_does_not_fit_is_named(folder, tmp_path, capsys, command):
    """B28."""
    where = [f"--run_dir={tmp_path / 'out'}"] if command == "test" else [f"--out={tmp_path}"]
    args = ["--ckpt_path", str(folder / "run"), "--model.encoder.n_layers=3", *where]
    assert main([command, *args]) == 2
    assert "model.encoder.n_layers=3, the checkpoint was trained with 1" in error(capsys)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("--data.batch_size=4", "data.batch_size=4: the checkpoint was trained with 6; resume wi"),
        ("--data.seed=5", "data.seed=5: the checkpoint was trained with 0"),
        ("--data.path={}", "its training items are not those of the checkpoint (27 items, not 54)"),
    ],
)
def test_a_resumed_run_skips_and_repeats_nothing(folder, tmp_path, capsys, change, said):
    """B33, B12: also where the model asked for the number of steps, as all of ours do."""
    change = change.format(table(folder, "short.csv", NAMES, 30))
    assert call("fit", folder, tmp_path, change, "--trainer.max_epochs=2") == 2
    assert said in error(capsys)


def test_what_differs_is_said(folder, tmp_path, capsys):
    """B12."""
    args = ["--data.eval_lengths=[4,12]", "--trainer.max_epochs=2", "--test_after_fit=false"]
    assert call("fit", folder, tmp_path, *args) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines.count("data.eval_lengths=[4, 12], the checkpoint was trained with [12]") == 1


def test_a_checkpoint_of_an_earlier_release(folder, tmp_path, capsys):
    """It loads, and a line says what it does not know."""
    import torch

    old = torch.load(folder / "run/checkpoints/last.ckpt", weights_only=True)
    del old["TextClassificationData"]
    (tmp_path / "checkpoints").mkdir()
    torch.save(old, tmp_path / "checkpoints/old.ckpt")
    where = ["--ckpt_path", str(tmp_path / "checkpoints/old.ckpt")]
    assert main(["test", *where, f"--run_dir={tmp_path / 'out'}"]) == 0
    said = capsys.readouterr().err
    assert said.count("does not say what its numbers mean") == 1


def test_tags_of_words_without_tags(tmp_path):
    """B4: one name for each word."""
    (tmp_path / "train.txt").write_text("the DET\ncat NOUN\n\n" * 10)
    (tmp_path / "words.txt").write_text("a\ncat\nsees\n\nthe\n" + "cat\n" * 9)
    data = ["--data=TaggingData", f"--data.path={tmp_path / 'train.txt'}", "--data.train_length=8"]
    run = [f"--run_dir={tmp_path / 'run'}", "--test_after_fit=false"]
    assert main(["fit", "--model=TokenClassifier", *TINY, *data, *run]) == 0
    assert call("predict", tmp_path, tmp_path, f"--data.path={tmp_path / 'words.txt'}") == 0
    first, second = [json.loads(line) for line in lines_of(tmp_path)]
    assert first["words"] == ["a", "cat", "sees"]
    assert {*first["prediction"]} <= {"DET", "NOUN"}
    assert len(first["probabilities"]) == 3
    assert len(second["prediction"]) == 10
    assert second["prediction"][8:] == second["probabilities"][8:] == [None, None]
