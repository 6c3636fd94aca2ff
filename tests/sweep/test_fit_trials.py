"""Trials of the package's own `fit`, forked from a server that has imported it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TINY = [
    f"--config={ROOT / 'configs' / 'quickstart.yaml'}",
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}",
    "--data.train_length=8",
    "--data.eval_lengths=[8]",
    "--data.eval_samples=32",
    "--data.steps_per_epoch=4",
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
    "--trainer.enable_model_summary=false",
]
SWEEP = ["-m", "lightning_posenc", "sweep"]


def write(path: Path, **changes: object) -> None:
    content = {
        "program": "lightning_posenc",
        "command": ["${env}", "${interpreter}", "-m", "${program}", "fit", *TINY, "${args}"],
        "method": "grid",
        "metric": {"name": "val/acc", "goal": "maximize"},
        "parameters": {"model.positional": {"values": ["RoPE", "NoPE"]}},
    }
    path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))


def run(directory: Path, *args: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *args],
        cwd=directory, env=variables, capture_output=True, text=True, timeout=280,
    )  # fmt: skip


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep whose second trial fails when its data is made."""
    home = tmp_path_factory.mktemp("swept")
    lengths = [[8], [1]]  # the second is shorter than the task can make
    write(home / "s.yaml", parameters={"data.eval_lengths": {"values": lengths}})
    done = run(home, *SWEEP, "s.yaml", "--jobs", "2")
    assert done.returncode == 1, done.stderr
    assert "error: 1 of 2 trials failed, first 001-" in done.stderr
    return home


def record(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def test_a_trial_is_a_run_like_any_other(swept: Path) -> None:
    (trial,) = (swept / "runs" / "s").glob("000-*")
    found = {path.name for path in trial.iterdir()}
    assert {"config.yaml", "summary.json", "metrics.csv", "checkpoints", "trial.json"} <= found
    summary, kept = record(trial / "summary.json"), record(trial / "trial.json")
    assert summary["status"] == "finished"
    assert kept["status"] == "complete"
    assert kept["metric"] == summary["metrics"]["val/acc"]
    log = (trial / "trial.log").read_text()
    assert f"run directory: {Path('runs', 's', trial.name)}" in log
    assert "it/s" not in log  # nobody watches a bar


# What the server imports must leave alone what a fork would lose: CUDA, and threads.
ALONE = """
import sys, threading, torch
from lightning_posenc.sweep.trial_command import own_fit
assert not torch.cuda.is_initialized()
assert threading.active_count() == 1
from lightning_posenc.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_its_numbers_are_those_of_a_process_of_its_own(swept: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "-c", ALONE, "fit", *TINY, "--run_dir=alone")
    assert done.returncode == 0, done.stderr
    (trial,) = (swept / "runs" / "s").glob("000-*")
    alone, there = (record(d / "summary.json") for d in (tmp_path / "alone", trial))
    assert alone["metrics"] == there["metrics"]

    def columns(directory: Path) -> list[dict[str, str]]:
        with (directory / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    assert columns(tmp_path / "alone") == columns(trial)


def test_what_a_trial_raises_is_its_error(swept: Path) -> None:
    (trial,) = (swept / "runs" / "s").glob("001-*")
    kept = record(trial / "trial.json")
    assert kept["status"] == "failed"
    assert "PositionPattern" in kept["error"]
    assert "Traceback" not in (trial / "trial.log").read_text()  # it is the user's to mend


def test_a_parameter_that_fit_does_not_know_is_caught_before_training(tmp_path: Path) -> None:
    write(tmp_path / "s.yaml", parameters={"model.positonal": {"values": ["RoPE", "NoPE"]}})
    done = run(tmp_path, *SWEEP, "s.yaml")
    assert done.returncode == 2
    assert "fit does not take the parameters of trial 0" in done.stderr
    assert "positonal" in done.stderr
    assert done.stderr.count("error:") == 1
    assert not list(tmp_path.glob("runs/s/0*"))
