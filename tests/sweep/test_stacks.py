"""Trials that differ in their seed alone are trained as one, and recorded as any other."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_posenc.sweep import definition
from lightning_posenc.sweep.stacks import Stacks
from lightning_posenc.sweep.trial import Trial
from tests.sweep.test_fit_trials import ROOT, SWEEP, TINY, record, run

SEEDS = {"seed_everything": {"values": [0, 1]}}


def write(path: Path, *more: str, **changes: object) -> Path:
    content = {
        "program": "lightning_posenc",
        "command": ["${env}", "${interpreter}", "-m", "${program}", "fit", *TINY, *more, "${args}"],
        "method": "grid",
        "metric": {"name": "test/acc/len_8", "goal": "maximize"},
        "parameters": {**SEEDS, "model.positional": {"values": ["RoPE", "NoPE"]}},
    }
    path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
    return path


def trials(home: Path) -> dict[str, Any]:
    return {path.name: record(path / "trial.json") for path in sorted(home.glob("0*"))}


def metrics(home: Path) -> dict[str, dict[str, float]]:
    return {path.name: record(path / "summary.json")["metrics"] for path in home.glob("0*")}


def test_trials_are_grouped_by_all_but_their_seed(tmp_path: Path) -> None:
    stacks = Stacks(definition.load(write(tmp_path / "s.yaml")))
    made = [
        Trial(n, {"seed_everything": seed, "model": {"positional": name}}, {})
        for n, (seed, name) in enumerate([(0, "RoPE"), (0, "NoPE"), (1, "RoPE"), (2, "RoPE")])
    ]
    assert [each.number for each in stacks.group(made[0], made[1:])] == [0, 2, 3]
    assert stacks.group(made[1], made[2:]) == []
    stacks.ended([made[0], made[2], made[3]], 6.0)
    assert stacks.group(made[0], made[1:]) == []
    assert [stacks.share(each) for each in made] == [2.0, None, 2.0, 2.0]


@pytest.mark.parametrize(("reason", "changes"), [
    ("bayes chooses each trial by those before", {"method": "bayes"}),
    ("early_terminate ends each trial by itself", {
        "early_terminate": {"type": "hyperband", "min_iter": 2}
    }),
    ("has no parameter seed_everything", {"parameters": {"lr": {"values": [0.1]}}}),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_sweeps_of_single_trials_are_refused(
    reason: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"--stack_seeds: .*{reason}"):
        Stacks(definition.load(write(tmp_path / "s.yaml", **changes)))


@pytest.mark.long
def test_a_stacked_sweep_is_the_sweep(tmp_path: Path) -> None:
    write(tmp_path / "s.yaml", "--model.positional=RoPE", parameters=SEEDS)
    plain = run(tmp_path, *SWEEP, "s.yaml", "--sweep_dir", "plain")
    assert plain.returncode == 0, plain.stderr
    done = run(tmp_path, *SWEEP, "s.yaml", "--stack_seeds", "--sweep_dir", "stacked")
    assert done.returncode == 0, done.stderr
    assert "trials 000, 001 are trained as one" in done.stdout
    assert "run one by one" not in done.stdout
    kept, expected = trials(tmp_path / "stacked"), trials(tmp_path / "plain")
    assert kept.keys() == expected.keys()
    for name, trial in kept.items():
        assert trial["status"] == "complete"
        assert trial["metric"] == pytest.approx(expected[name]["metric"], abs=1e-5)
        assert trial["command"] == expected[name]["command"]
    found, wanted = metrics(tmp_path / "stacked"), metrics(tmp_path / "plain")
    for name, values in wanted.items():
        assert found[name] == pytest.approx(values, abs=1e-5, nan_ok=True)
        assert record(tmp_path / "stacked" / name / "summary.json")["stacked"]["seeds"] == 2
    report = run(tmp_path, "-m", "lightning_posenc", "report", "stacked")
    assert report.returncode == 0, report.stderr


@pytest.mark.long
def test_what_cannot_be_stacked_runs_as_usual(tmp_path: Path) -> None:
    write(tmp_path / "s.yaml", "--model.encoder.dropout=0.1", parameters=SEEDS)
    done = run(tmp_path, *SWEEP, "s.yaml", "--stack_seeds", "--sweep_dir", "swept")
    assert done.returncode == 0, done.stderr
    assert "trials 000, 001 run one by one: cannot be stacked: the forward" in done.stdout
    assert [trial["status"] for trial in trials(tmp_path / "swept").values()] == ["complete"] * 2
    for name in trials(tmp_path / "swept"):
        assert "stacked" not in record(tmp_path / "swept" / name / "summary.json")


@pytest.mark.long
def test_a_group_that_was_killed_begins_again(tmp_path: Path) -> None:
    write(tmp_path / "s.yaml", "--data.steps_per_epoch=200", parameters=SEEDS)
    command = [sys.executable, *SWEEP, "s.yaml", "--stack_seeds", "--sweep_dir", "swept"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    sweep = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "swept").glob("001-*/metrics.csv")):
        assert sweep.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    assert {trial["status"] for trial in trials(tmp_path / "swept").values()} == {"running"}
    done = run(tmp_path, *command[1:])
    assert done.returncode == 0, done.stderr
    for name, trial in trials(tmp_path / "swept").items():
        assert trial["status"] == "complete"
        summary = json.loads((tmp_path / "swept" / name / "summary.json").read_text("utf-8"))
        assert summary["stacked"]["seeds"] == 2
        assert summary["steps"] == 200
