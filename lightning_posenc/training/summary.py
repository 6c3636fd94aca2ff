"""`summary.json`: what a run measured, and what made it."""

import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torchmetrics import Metric

from lightning_posenc.callbacks.results.length_axis import length_axis
from lightning_posenc.checks import is_a
from lightning_posenc.compat.lightning import seed_of_run
from lightning_posenc.diagnostics.metric_keys import is_higher_better
from lightning_posenc.runs import strict_json
from lightning_posenc.runs.main_process import is_writer
from lightning_posenc.runs.run_directory import CONFIG, SUMMARY
from lightning_posenc.runs.untrusted import read_json
from lightning_posenc.runs.whole_files import write_whole
from lightning_posenc.training.divergence import Diverged
from lightning_posenc.training.sampling_error import SamplingErrors
from lightning_posenc.training.spent import Spent
from lightning_posenc.training.step_time import StepTime

METRICS = "lightning_posenc_metrics"
SPENT = "lightning_posenc_spent"
_COST = (
    "seconds_per_step", "peak_memory_mb", "peak_memory_of", "device", "stacked",
    "train_seconds", "train_tokens", "train_flops", "train_joules",
)  # fmt: skip
PACKAGES = ("lightning_posenc", "torch", "lightning", "torchmetrics", "datasets")


class RunSummary(L.Callback):
    """Keeps `summary.json` up to date from the start of a run to its end, good or bad.

    `{"status": …, "command": […], "metrics": {…}, "seconds": …, "seed": …, "parameters": …,
    "versions": {…}, "git": …}`, where the status is "running", "finished", "interrupted" by a
    signal, "diverged" or "failed" (these three with "error"). What an earlier part of the run said
    stands until this one has made a step: an attempt that fails before leaves a finished run
    finished. A run that trained says too what that cost: "seconds_per_step", the median over its
    last steps without validation, and "peak_memory_mb", whose "peak_memory_of" is "cuda" (the most
    that tensors took on this rank's GPU) or "process" (the largest resident set of the process
    since it started, Python and its libraries included); and "train_seconds", "train_tokens",
    "train_flops" and, of an NVIDIA GPU where nvidia-ml-py is installed, "train_joules", of all
    parts of the run. A run that was trained with other seeds as one says "stacked" instead, of how
    many and how long a step of all took. Where only torchmetrics knows whether more of a metric is
    better, "higher_is_better" says it by the metric's name. Where the data's lengths are not called
    so, "length_axis" says what they are. A run that was tested says how sure its scores are, by
    metric key: "standard_errors", over "test_sequences" by length.

    Args:
        command: Arguments that the program was started with; a run that is resumed in its own
            directory keeps those that it began with, and lists the others that it trained on with
            under "resumed", in their order. None if there were none.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self.command = None if command is None else [*is_a(self, "command", command, list | tuple)]
        self._resumed: list[list[str]] = []
        self._start = time.monotonic()
        self._metrics: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._cost: dict[str, Any] = {}
        self._failed = False
        self._fits = False
        self._earlier: dict[str, Any] = {}  # what the summary says, until a step is made
        self._steps_before = 0
        self._times = StepTime()
        self._spent = Spent()
        self._made_by: dict[str, Any] = {}
        self._directions: dict[str, bool] = {}
        self._length_axis = "length"
        self._sampling = SamplingErrors()
        self._tested: dict[str, Any] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._fits = stage == "fit"
        self._length_axis = length_axis(trainer)
        if self._fits:
            self._earlier = _earlier(trainer)
            self._take_commands()
            self._cost = {key: self._earlier[key] for key in _COST if key in self._earlier}
            known = self._earlier.get("higher_is_better")
            self._directions = known if isinstance(known, dict) else {}
        # Before a strategy shards them.
        self._counts = {"parameters": _count(pl_module)}
        if isinstance(encoding := getattr(pl_module, "positional", None), torch.nn.Module):
            self._counts["positional_parameters"] = _count(encoding)
        if not self._earlier:
            self._write(trainer, "running")

    def _take_commands(self) -> None:
        began = self._earlier.get("command")
        if not _are_words(began):
            return
        resumed = self._earlier.get("resumed")
        self._resumed = list(resumed) if isinstance(resumed, list) else []
        if self.command is not None and self.command != [began, *self._resumed][-1]:
            self._resumed.append(self.command)
        self.command = began

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._steps_before = trainer.global_step
        self._spent.start(pl_module.device)
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._spent.add(batch, trainer.world_size)
        # With accumulated gradients, several batches end at the same step.
        if trainer.global_step > self._steps_before:
            self._steps_before = trainer.global_step
            self._times.mark(pl_module.device)
            if self._earlier:
                self._earlier = {}
                self._write(trainer, "running")

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._times.pause()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._times.pause()

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._times.pause()
        self._collect(trainer)
        checkpoint[METRICS] = dict(self._metrics)
        checkpoint[SPENT] = self._spent.state()

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._fits:  # a run that was stopped after its last step will not train again
            self._metrics = dict(checkpoint.get(METRICS, {}))
            self._spent.load(checkpoint.get(SPENT))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        memory, of = _peak_memory(pl_module.device)
        self._spent.end(trainer, pl_module)
        self._cost = {
            "seconds_per_step": self._times.median(),
            "peak_memory_mb": memory,
            "peak_memory_of": of,
            "device": _name(pl_module.device),
            **self._spent.found(),
        }

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._directions |= directions(pl_module)
            self._collect(trainer)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._sampling = SamplingErrors()

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._sampling.add(pl_module, batch, outputs, dataloader_idx)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._directions |= directions(pl_module)
        errors, sequences = self._sampling.over_ranks(trainer)
        known = {key: error for key, error in errors.items() if key in trainer.callback_metrics}
        if known:
            self._tested = {"standard_errors": known, "test_sequences": sequences}
        self._collect(trainer)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._failed = True
        if self._earlier.get("status") == "finished":
            return
        status = "failed"
        if isinstance(exception, KeyboardInterrupt | SIGTERMException):
            status = "interrupted"
        elif isinstance(exception, Diverged):
            status = "diverged"
        error = f"{type(exception).__name__}: {exception}"
        # A full disk, which may be what went wrong, must not hide it.
        with suppress(OSError):
            self._write(trainer, status, error=error)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        # A finished run that had nothing to train waits for its test, whose scores it lacks now.
        waits = self._fits and self._earlier.get("status") == "finished"
        if not self._failed and not waits:
            self._write(trainer, "finished")

    def _collect(self, trainer: L.Trainer) -> None:
        self._metrics |= {k: float(v) for k, v in trainer.callback_metrics.items()}

    def _write(self, trainer: L.Trainer, status: str, **more: Any) -> None:
        if not is_writer(trainer):
            return
        seed = seed_of_run()
        self._made_by = self._made_by or _made_by()
        summary = {
            "status": status,
            **more,
            "command": self.command,
            **({"resumed": self._resumed} if self._resumed else {}),
            "metrics": self._metrics,
            **self._tested,
            **({"higher_is_better": self._directions} if self._directions else {}),
            **({} if self._length_axis == "length" else {"length_axis": self._length_axis}),
            "seconds": round(time.monotonic() - self._start, 3),
            "steps": trainer.global_step,
            "seed": None if seed is None else int(seed),
            **self._counts,
            **self._cost,
            **self._made_by,
        }
        write_whole(
            Path(trainer.default_root_dir, SUMMARY), strict_json.text(summary, indent=2) + "\n"
        )


def _earlier(trainer: L.Trainer) -> dict[str, Any]:
    """The summary of the run that this one goes on with; empty if the directory is new."""
    directory = Path(trainer.default_root_dir)
    try:
        found = read_json(directory / SUMMARY)
    except (OSError, ValueError):
        return {}
    # A new run writes its config only after this: one that is there is of a run that is resumed.
    return found if isinstance(found, dict) and (directory / CONFIG).exists() else {}


def directions(module: torch.nn.Module) -> dict[str, bool]:
    """Whether more is better of the module's metrics that only torchmetrics knows, by name."""
    return {
        name: bool(part.higher_is_better)
        for path, part in module.named_modules()
        if isinstance(part, Metric) and part.higher_is_better is not None
        if is_higher_better(name := path.rpartition(".")[2]) is None
    }


def _are_words(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(word, str) for word in found)


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _peak_memory(device: torch.device) -> tuple[float | None, str | None]:
    """The most memory in use, in MiB, and what that is of."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1), "cuda"
    try:
        import resource
    except ImportError:  # Windows
        return None, None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1), "process"


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def _made_by() -> dict[str, Any]:
    """What the process has loaded, asked once: a commit made while it runs is not its code."""
    versions = {"python": platform.python_version(), **_versions()}
    return {"versions": versions, "git": _git_commit()}


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
