"""`summary.json`: what a run measured, and what made it."""

import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lightning as L

from lightning_posenc.run_directory import SUMMARY

PACKAGES = ("lightning_posenc", "torch", "lightning", "torchmetrics", "datasets")


class RunSummary(L.Callback):
    """Keeps `summary.json` up to date from the start of a run to its end, good or bad.

    `{"metrics": {…}, "seconds": …, "seed": …, "versions": {…}, "git": …, "status": …}`, where the
    status is "running", "finished" or "failed" (with "error").
    """

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._metrics: dict[str, float] = {}
        self._failed = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._write(trainer, "running")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._collect(trainer)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._collect(trainer)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._failed = True
        self._write(trainer, "failed", error=f"{type(exception).__name__}: {exception}")

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if not self._failed:
            self._write(trainer, "finished")

    def _collect(self, trainer: L.Trainer) -> None:
        self._metrics |= {k: float(v) for k, v in trainer.callback_metrics.items()}

    def _write(self, trainer: L.Trainer, status: str, **more: Any) -> None:
        if not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
            return
        seed = os.environ.get("PL_GLOBAL_SEED")
        summary = {
            "status": status,
            **more,
            "metrics": self._metrics,
            "seconds": round(time.monotonic() - self._start, 3),
            "steps": trainer.global_step,
            "seed": None if seed is None else int(seed),
            "versions": {"python": platform.python_version(), **_versions()},
            "git": _git_commit(),
        }
        path = Path(trainer.default_root_dir, SUMMARY)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".json.tmp")  # a reader never meets half a file
        unfinished.write_text(json.dumps(summary, indent=2) + "\n")
        unfinished.replace(path)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _git_commit() -> str | None:
    """Commit of the working directory, None outside a repository or without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
