"""What a sweep shows: what runs, how much is done, the best so far, the time left."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lightning_posenc.sweep.definition import Objective
from lightning_posenc.sweep.parameters import Parameter
from lightning_posenc.sweep.trial import Status, Trial, ranked

BEST_SHOWN = 10


class Display:
    """Shows a sweep: a live picture in a terminal, a line for each event elsewhere.

    Args:
        space: The sweep's parameters.
        metric: What it is after, if that is known.
        jobs: Trials at once.
        console: To write on.
    """

    def __init__(
        self, space: list[Parameter], metric: Objective | None, jobs: int, console: Console
    ) -> None:
        self._varied = [p for p in space if p.choices is None or len(p.choices) > 1]
        self._metric = metric
        self._jobs = jobs
        self._console = console
        self._live = Live(console=console, refresh_per_second=2, transient=True)
        self._began: dict[int, float] = {}
        self._trials: dict[int, Trial] = {}
        self._total = 0
        self._seconds: list[float] = []

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, trials: Iterable[Trial], total: int) -> None:
        """Say how many of the trials are done already."""
        self._trials = {t.number: t for t in trials if t.status is not Status.RUNNING}
        self._total = total
        if self._trials:
            self._console.print(f"{len(self._trials)} of {total} trials are done already")

    def began(self, trial: Trial) -> None:
        """A trial was begun."""
        self._began[trial.number] = time.monotonic()

    def ended(self, trial: Trial, directory: Path) -> None:
        """A trial ended."""
        self._trials[trial.number] = trial
        self._seconds.append(trial.seconds or 0.0)
        line = [f"[{len(self._trials)}/{self._total}]", trial.name, str(trial.status)]
        line.append(f"{trial.seconds:.1f} s")
        if trial.metric is not None and self._metric is not None:
            line.append(f"{self._metric.name}={trial.metric:.4g}")
        line.append(self.describe(trial))
        if trial.error:
            line.append(f"{trial.error} ({directory / 'trial.log'})")
        if not self._console.is_terminal:
            line += [self._best_so_far(), self._time_left()]
        text = "  ".join(part for part in line if part)
        style = "red" if trial.status.is_bad or trial.status is Status.DIVERGED else ""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def say(self, message: str) -> None:
        """Say what is going on."""
        self._console.print(Text(message), soft_wrap=True)

    def warn(self, message: str) -> None:
        """Say what the user should know now."""
        self._console.print(Text(f"warning: {message}", style="yellow"), soft_wrap=True)

    def show(self, running: Iterable[Trial], latest: Callable[[Trial], float | None]) -> None:
        """Draw the live picture.

        Args:
            running: The trials that run.
            latest: What a trial logged last of the metric.
        """
        if not self._console.is_terminal:
            return
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for trial in running:
            elapsed = time.monotonic() - self._began[trial.number]
            value = latest(trial)
            said = (
                "" if value is None or self._metric is None else f"{self._metric.name}={value:.4g}"
            )
            table.add_row(f"{trial.number:03d}", _clock(elapsed), said, self.describe(trial))
        parts = [f"{len(self._trials)}/{self._total} done", self._best_so_far(), self._time_left()]
        bad = sum(trial.status.is_bad for trial in self._trials.values())
        parts.insert(1, f"{bad} failed" if bad else "")
        self._live.update(Group(table, Text("   ".join(filter(None, parts)), style="bold")))

    def describe(self, trial: Trial) -> str:
        """What a trial has that others have not."""
        last = [parameter.path[-1].rsplit(".", 1)[-1] for parameter in self._varied]
        shown = []
        for parameter, short in zip(self._varied, last, strict=True):
            value: Any = trial.parameters
            for name in parameter.path:
                value = value[name]
            name = short if last.count(short) == 1 else parameter.name
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            shown.append(f"{name}={text}")
        return " ".join(shown)

    def table(self) -> Table | None:
        """The best trials, or None if no metric tells which they are."""
        found = self._ranked()
        if not found or self._metric is None:
            return None
        title = f"best by {self._metric.name} ({self._metric.goal})"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for column in ("trial", self._metric.name, "parameters"):
            table.add_column(column, overflow="fold")
        for trial in found[:BEST_SHOWN]:
            value = str(trial.status) if trial.metric is None else f"{trial.metric:.4f}"
            table.add_row(trial.name, value, self.describe(trial))
        return table

    def _ranked(self) -> list[Trial]:
        return ranked(self._trials.values(), self._metric is not None and self._metric.rises)

    def _best_so_far(self) -> str:
        found = self._ranked()
        if not found or found[0].metric is None:
            return ""
        return f"best {found[0].metric:.4g} ({found[0].number:03d})"

    def _time_left(self) -> str:
        left = self._total - len(self._trials)
        if not self._seconds or left <= 0:
            return ""
        mean = sum(self._seconds) / len(self._seconds)
        return f"about {_clock(mean * left / min(self._jobs, left))} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
