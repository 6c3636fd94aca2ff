"""A person's path: a file of one's own, a classifier, a label for a string."""

import io
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lightning_posenc
from lightning_posenc.cli import main

DOCS = Path(__file__).parents[2] / "docs" / "inference.md"
WORDS = {"joy": ["happy", "glad", "great"], "anger": ["mad", "furious", "angry"]}
SMALL = ["--model.encoder={d_model: 32, n_heads: 2, n_layers: 1}", "--data.vocabulary=bytes"]
QUIET = [
    "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.logger=false",
    "--trainer.enable_model_summary=false",
]  # fmt: skip
SECONDS = 240  # on two cores that others use, too; some 30 s on idle ones


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [f"I am so {words[n % 3]} {n % 7},{label}" for n in range(120)
            for label, words in WORDS.items()]  # fmt: skip
    (tmp_path / "moods.csv").write_text("\n".join(["text,label", *rows]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_from_a_table_to_a_label_in_two_commands(here: Path) -> None:
    """Those of the page, run as they stand there, with a smaller model."""
    text = DOCS.read_text("utf-8").replace("\\\n", " ")
    commands = [shlex.split(each) for each in re.findall(r"^python -m .*", text, re.MULTILINE)][:2]
    assert [command[3] for command in commands] == ["fit", "predict"]
    commands[0] += [*SMALL, *QUIET]
    began = time.monotonic()
    for command in commands:
        done = subprocess.run(
            [sys.executable, *command[1:]], capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < SECONDS
    (line,) = (line for line in done.stdout.splitlines() if "I am so happy" in line)
    assert "joy" in line.split("│")[2]
    told = json.loads((here / "runs/moods/figures/classes.json").read_text())
    assert told["classes"] == ["anger", "joy"]
    (here / "moods.csv").unlink()  # the checkpoint is enough
    model = lightning_posenc.load("runs/moods")
    found = model(["I am so furious 3", "so great"])
    assert [each["label"] for each in found] == ["anger", "joy"]


@pytest.mark.slow
def test_predict_says_what_predict_of_a_file_says(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = ["fit", "--config", "text_classification", "--data.path=moods.csv", "--run_dir=r"]
    assert main([*fit, *SMALL, *QUIET, "--trainer.max_steps=3"]) == 0
    (here / "new.csv").write_text("text\nso glad\nmad\n")
    asked = ["predict", "--ckpt_path=r"]
    assert main([*asked, "--data.path=new.csv", "--run_dir=p", *QUIET]) == 0
    of_file = [json.loads(line) for line in (here / "p/predictions.jsonl").read_text().splitlines()]
    monkeypatch.setattr(sys, "stdin", io.StringIO("so glad\nmad\n"))
    (here / "lines.txt").write_text("so glad\nmad\n")
    for given in (["--text=so glad", "--text", "mad"], ["--text=-"], ["--file", "lines.txt"]):
        capsys.readouterr()
        assert main([*asked, *given, "--json", "--device=cpu"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["input"] for line in lines] == ["so glad", "mad"]
        for line, row in zip(lines, of_file, strict=True):
            assert line["label"] == row["prediction"]
            shares = [*line["probabilities"].values()]
            assert shares == pytest.approx([*row["probabilities"].values()], abs=2e-6)
    for given, said in (
        (["--text=x", "--top_k=3"], "top_k: for a language model"),
        (["--text=x", "--tempreature=3"], "did you mean --temperature?"),
        (["--file=moods.csv"], "predict --ckpt_path RUN --data.path=moods.csv reads its rows"),
        (["--file=none.txt"], "none.txt does not exist"),
        (["--text=x", "--score"], "score is of causal language models"),
    ):
        capsys.readouterr()
        assert main([*asked, *given]) == 2
        (error,) = capsys.readouterr().err.splitlines()
        assert said in error


@pytest.mark.slow
def test_score_is_validations(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "The quick brown fox jumps over the lazy dog, naively. " * 30
    (here / "a.txt").write_text(text)
    fit = ["fit", "--config=text_offline", "--data.path=a.txt", "--data.train_length=32"]
    fit += [*SMALL, *QUIET, "--trainer.max_epochs=1", "--data.steps_per_epoch=3", "--run_dir=r"]
    assert main(fit) == 0
    cut = text[: len(text) // 32 * 32 + 1]
    (here / "b.txt").write_text(cut)
    capsys.readouterr()
    assert main(["validate", "--ckpt_path=r", "--data.path=b.txt", "--run_dir=v", *QUIET]) == 0
    metrics = json.loads((here / "v/summary.json").read_text())["metrics"]
    model = lightning_posenc.load("r", device="cpu")
    n = (len(cut) - 1) // 32 * 32 + 1
    assert model.score(cut[:n])["bits_per_byte"] == pytest.approx(
        metrics["val/bits_per_byte"], rel=1e-5
    )
    assert main(["predict", "--ckpt_path=r", "--text=The", "--max_new_tokens=4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["text"].startswith("The")
    assert np.isfinite(model.score("naïve")["loss"])
