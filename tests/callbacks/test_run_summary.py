"""`summary.json`: what a run cost, and what made it."""

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from lightning_posenc.cli import main
from lightning_posenc.training import step_time, summary
from lightning_posenc.training.step_time import FIRST, KEPT, StepTime

QUICKSTART = str(Path(__file__).parents[2] / "configs" / "quickstart.yaml")
TINY = [
    "fit", "--config", QUICKSTART,
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 2}", "--data.steps_per_epoch=6",
    "--data.eval_samples=32", "--data.batch_size=8", "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu",
    "--trainer.log_every_n_steps=1",
]  # fmt: skip
CPU = torch.device("cpu")


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(step_time, "time", made)
    return made


def steps(times: StepTime, clock: Clock, seconds: list[float]) -> None:
    for each in seconds:
        clock.now += each
        times.mark(CPU)


def test_the_first_steps_do_not_count(clock: Clock) -> None:
    times = StepTime()
    steps(times, clock, [100.0] * FIRST)
    assert times.median() is None
    steps(times, clock, [100.0, 1.0, 3.0, 2.0])  # the first mark that counts starts the watch
    assert times.median() == 2.0


def test_what_comes_between_two_steps_does_not_count(clock: Clock) -> None:
    times = StepTime()
    steps(times, clock, [0.0] * (FIRST + 1))
    for _ in range(3):
        steps(times, clock, [1.0])
        times.pause()
        times.pause()  # a validation, then a new epoch
        steps(times, clock, [50.0])
    assert times.median() == 1.0


def test_the_last_steps_count(clock: Clock) -> None:
    times = StepTime()
    steps(times, clock, [9.0] * 5 * KEPT)
    times.pause()
    steps(times, clock, [1.0] * (KEPT + 1))
    assert times.median() == 1.0
    assert times._kept <= 2 * KEPT
    assert times._kept == sum(map(len, times._stretches))


def test_on_cuda_nothing_waits_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks are events; a clock of the host would count 0 for steps that are only queued."""
    waited: list[int] = []
    numbers = count()

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing
            self.number = next(numbers)

        def record(self, stream: Any) -> None:
            assert stream == "stream of cuda:0"

        def synchronize(self) -> None:
            waited.append(self.number)

        def elapsed_time(self, other: "Event") -> float:
            return 20.0 * (other.number - self.number)  # milliseconds

    stand_in = SimpleNamespace(Event=Event, current_stream=lambda device: f"stream of {device}")
    monkeypatch.setattr(torch, "cuda", stand_in)
    times = StepTime()
    for _ in range(FIRST + 4):
        times.mark(torch.device("cuda:0"))
    assert waited == []
    assert times.median() == pytest.approx(0.02)
    assert waited == [1, 2, 3]


def test_git_is_asked_once_however_often_the_summary_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P9: a process for each writing takes longer than a small run's step."""
    asked, written = [], []
    run, write = summary.subprocess.run, summary.write_whole

    def asks(command: list[str], **options: Any) -> Any:
        asked.append(command)
        return run(command, **options)

    monkeypatch.setattr(summary.subprocess, "run", asks)
    monkeypatch.setattr(
        summary, "write_whole", lambda path, text: written.append(path) or write(path, text)
    )
    trainer = L.Trainer(
        default_root_dir=tmp_path, max_steps=2, accelerator="cpu", logger=False,
        callbacks=[summary.RunSummary(["fit"])], enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, limit_val_batches=1,
    )  # fmt: skip
    model = BoringModel()
    trainer.fit(model)
    trainer.test(model, verbose=False)
    assert len(written) >= 3
    assert [command[:2] for command in asked] == [["git", "describe"]]


@pytest.mark.slow
def test_a_run_says_what_it_cost_and_what_made_it(tmp_path: Path) -> None:
    given = [*TINY, "--trainer.max_epochs=2", f"--run_dir={tmp_path / 'run'}"]
    assert main(given) == 0
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["command"] == given
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    weights = state["state_dict"]
    assert found["parameters"] == sum(w.numel() for w in weights.values())
    positional = {k: w.numel() for k, w in weights.items() if ".positional." in k}
    assert found["positional_parameters"] == sum(positional.values()) > 0
    assert 0 < found["seconds_per_step"] < found["seconds"]
    assert found["peak_memory_of"] == "process"
    assert found["peak_memory_mb"] > 50  # torch alone takes more
    assert found["device"].startswith("cpu")

    checkpoint = str(tmp_path / "run" / "checkpoints" / "last.ckpt")
    more = [*TINY, "--trainer.max_epochs=3", "--ckpt_path", checkpoint]
    assert main(more) == 0
    resumed = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert resumed["steps"] == 18
    assert resumed["command"] == given
    assert resumed["resumed"] == [more]

    assert main(["test", "--ckpt_path", checkpoint, f"--run_dir={tmp_path / 'test'}"]) == 0
    tested = json.loads((tmp_path / "test" / "summary.json").read_text())
    assert tested["command"][0] == "test"
    assert "seconds_per_step" not in tested
    assert tested["parameters"] == found["parameters"]
