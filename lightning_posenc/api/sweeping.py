"""`sweep` from Python."""

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_posenc import shipped
from lightning_posenc.api.reporting import ReportResult, report
from lightning_posenc.api.run_result import RunResult
from lightning_posenc.api.shown import ShownResult
from lightning_posenc.api.words import as_yaml, options
from lightning_posenc.report.keys import flatten
from lightning_posenc.runs.figures import new_figure
from lightning_posenc.sweep import command, definition, trial
from lightning_posenc.sweep.directory import COPY
from lightning_posenc.sweep.trial import RECORD, Trial

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class SweepResult(ShownResult):
    """A sweep's trials, read from its directory.

    Example:
        >>> from lightning_posenc.api import SweepResult
        >>> SweepResult("runs/nowhere")
        Traceback (most recent call last):
        ...
        ValueError: runs/nowhere holds no sweep: name the directory of one

    Args:
        directory: The sweep's own.

    Raises:
        ValueError: If it holds no sweep.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        if not (self.directory / COPY).is_file():
            raise ValueError(f"{directory} holds no sweep: name the directory of one")
        self.definition = definition.load(self.directory / COPY)

    @cached_property
    def trials(self) -> list[Trial]:
        """By number."""
        found = (trial.load(path.parent) for path in self.directory.glob(f"*/{RECORD}"))
        return sorted((each for each in found if each is not None), key=lambda each: each.number)

    @property
    def best(self) -> RunResult:
        """The run of the trial that stands first in the table that the command ends with.

        Raises:
            ValueError: If no trial has one.
        """
        metric = self.definition.metric
        found = [] if metric is None else trial.ranked(self.trials, metric.rises)
        if not found or found[0].metric is None:
            raise ValueError(f"{self.directory}: no trial has ended with a metric")
        return RunResult(self.directory / found[0].name)

    @property
    def title(self) -> str:
        return f"Sweep {self.definition.name}: {len(self.trials)} trials"

    @property
    def said(self) -> list[str]:
        statuses = [str(each.status) for each in self.trials]
        counted = (f"{statuses.count(each)} {each}" for each in dict.fromkeys(statuses))
        return [f"{', '.join(counted)}, in {self.directory}"]

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each trial: its parameters, status, metric and seconds."""
        import pandas as pd

        metric = self.definition.metric
        rows = [
            {
                **flatten(each.parameters),
                "status": str(each.status),
                "metric" if metric is None else metric.name: each.metric,
                "seconds": each.seconds,
            }
            for each in self.trials
        ]
        return pd.DataFrame(rows, index=pd.Index([t.name for t in self.trials], name="trial"))

    @property
    def figures(self) -> "dict[str, Figure]":
        """The metric of each trial, in the order in which they ran."""
        known = [each for each in self.trials if each.metric is not None]
        if not known or self.definition.metric is None:
            return {}
        figure = new_figure(figsize=(4.2, 3))
        axes = figure.subplots()
        axes.plot([each.number for each in known], [_metric(each) for each in known], "o")
        axes.set_xlabel("trial")
        axes.set_ylabel(self.definition.metric.name)
        axes.spines[["top", "right"]].set_visible(False)
        return {"Metric by trial": figure}

    def report(self, **given: Any) -> ReportResult:
        """Compare its runs: `api.report` with the same options."""
        return report(self.directory, **given)


def sweep(
    file: str | Path | Mapping[str, Any],
    *,
    jobs: int | None = None,
    sweep_dir: str | Path | None = None,
    seed: int = 0,
    run_cap: int | None = None,
    retry_failed: bool = False,
    stack_seeds: bool = False,
) -> SweepResult:
    """Run a sweep in W&B's format on this machine, with no server; begun before, it goes on.

    Args:
        file: The name of a sweep that comes along, a file, or the sweep as a mapping.
        jobs: Trials at once; None for one a GPU, else 1.
        sweep_dir: Where it all goes; None for `runs/<name>`.
        seed: Of random and bayes.
        run_cap: Most trials; None for what the sweep says.
        retry_failed: Whether trials run again that failed or were killed.
        stack_seeds: Whether trials that differ in their seed alone are trained as one.

    Returns:
        Its trials; those that failed say why.

    Raises:
        ValueError: On what the command line refuses, in its words.
        KeyboardInterrupt: If it is interrupted; called again, it goes on.
    """
    with tempfile.TemporaryDirectory() as place:
        if isinstance(file, Mapping):
            path = Path(place, "sweep.yaml")
            path.write_text(as_yaml(file), encoding="utf-8")
        else:
            path = Path(shipped.path_of("sweeps", str(file)))
        home = Path(sweep_dir or Path("runs", definition.load(path).name))
        told = options(
            jobs=jobs, sweep_dir=home, seed=seed, run_cap=run_cap, retry_failed=retry_failed,
            stack_seeds=stack_seeds,
        )  # fmt: skip
        if command.run([str(path), *told]) >= 128:
            raise KeyboardInterrupt
    return SweepResult(home)


def _metric(of: Trial) -> float:
    assert of.metric is not None
    return of.metric
