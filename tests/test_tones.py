"""A run on tones from the command line: watched, killed and resumed, on two processes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.cli import main
from tests.test_resume import STOPPER, assert_same, stop

ROOT = Path(__file__).parents[1]
FIT = [
    "fit",
    f"--config={ROOT / 'configs' / 'tones_conformer.yaml'}",
    "--model.encoder.d_model=16",
    "--model.encoder.n_heads=2",
    "--data.train_length=[1, 3]",
    "--data.eval_lengths=[2, 4]",
    "--data.steps_per_epoch=4",
    "--data.eval_samples=16",
    "--data.batch_size=4",
    "--trainer.max_epochs=1",
    "--trainer.val_check_interval=2",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.callbacks=ModelCheckpoint",
    "--trainer.callbacks.filename=last",
    "--trainer.callbacks.every_n_train_steps=1",
    "--trainer.callbacks.enable_version_counter=false",
]
WATCHING = [
    word
    for name in ("AttentionStatistics", "PositionProbe", "PositionalGradients", "PositionalShare",
                 "RankCollapse")
    for word in (f"--trainer.callbacks+={name}", "--trainer.callbacks.every_n_steps=2")
]  # fmt: skip
GENERALIZING = ["--trainer.callbacks+=LengthGeneralization", "--trainer.callbacks.metric=exact"]
pytestmark = pytest.mark.slow


def in_a_process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join((str(folder), str(ROOT)))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-m", "lightning_posenc", *FIT, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert main([*FIT, f"--run_dir={run_dir}"]) == 0
    return run_dir


def test_killed_and_started_again(tmp_path: Path, whole: Path) -> None:
    """By SIGKILL, which leaves nobody time to save; it ends with the very same weights."""
    (tmp_path / "stopper.py").write_text(STOPPER)
    command = [f"--run_dir={tmp_path / 'run'}", "--ckpt_path=last"]
    killed = in_a_process(tmp_path, *command, *stop("on_train_batch_start", 3, "SIGKILL"))
    assert killed.returncode == -9, killed.stderr
    assert main([*FIT, *command]) == 0
    assert_same(tmp_path / "run", whole)


@pytest.mark.long
def test_two_processes_do_as_one(tmp_path: Path, whole: Path) -> None:
    """Global batches are the same, and the mean loss is of all tokens; both are watched."""
    options = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp",
               *WATCHING[-4:]]  # fmt: skip
    done = in_a_process(tmp_path, f"--run_dir={tmp_path / 'run'}", *options)
    assert done.returncode == 0, done.stderr
    ours, alone = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (tmp_path / "run", whole)
    )
    for name, value in alone.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-4)
    one, two = (
        json.loads((run / "summary.json").read_text())["metrics"]
        for run in (whole, tmp_path / "run")
    )
    for name in ("test/loss/len_4", "val/error_rate"):
        assert two[name] == pytest.approx(one[name], rel=1e-3)


def test_watched_reported_and_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "runs" / "tones" / "a"
    assert main([*FIT, *WATCHING, *GENERALIZING, f"--run_dir={run}"]) == 0
    with (run / "metrics.csv").open(newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    for key in ("attn/entropy/layer_01/head_1", "pos_share/layer_02", "probe/mae/layer_02",
                "rank/residual/layer_02", "pos_grad/layer_01/bias"):  # fmt: skip
        assert [int(row["step"]) for row in rows if row[key]] == [0, 2, 4], key
    assert {path.stem for path in (run / "figures").glob("*.png")} >= {
        "attention_statistics", "positional_share", "length_generalization",
    }  # fmt: skip
    assert main(["report", str(tmp_path / "runs")]) == 0
    page = next((tmp_path / "runs").rglob("report.md")).read_text()
    assert "ToneData" in page
    assert "Compared by test/exact" in page
    checkpoint = run / "checkpoints" / "last.ckpt"
    assert main(["predict", f"--ckpt_path={checkpoint}", f"--run_dir={tmp_path / 'said'}"]) == 0
    lines = (tmp_path / "said" / "predictions.jsonl").read_text().splitlines()
    said = [json.loads(line) for line in lines]
    assert len(said) == 16
    assert all(set(line) == {"row", "prediction"} for line in said)
