"""Run the trials of a sweep: begin, watch, stop, record."""

import math
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_posenc.runs import strict_json
from lightning_posenc.runs.run_directory import RUN_DIR, SWEEP, TRIAL
from lightning_posenc.runs.whole_files import write_whole
from lightning_posenc.sweep import (
    endings,
    hyperband,
    processes,
    resources,
    trial_command,
    trial_metrics,
)
from lightning_posenc.sweep.definition import Definition
from lightning_posenc.sweep.directory import SweepDirectory
from lightning_posenc.sweep.display import Display
from lightning_posenc.sweep.names import nearest
from lightning_posenc.sweep.processes import TrialProcess
from lightning_posenc.sweep.search import Search
from lightning_posenc.sweep.stacks import Stacks
from lightning_posenc.sweep.trial import LOG, Status, Trial
from lightning_posenc.sweep.worker import Job

POLL = 0.5  # seconds between two looks at what runs

_JSON = "parameters.json"
_STACK_LOG = "stack.log"


@dataclass
class Scheduler:
    """Runs trials, `jobs` of them at once.

    Args:
        definition: The sweep.
        search: Chooses parameters.
        home: The sweep's directory, locked.
        trials: Those begun before, by number; all others are added.
        jobs: Trials at once.
        display: Is told what happens.
        total: Number of trials in all.
        stacks: Trains trials that differ in their seed alone together; None for each by itself.
    """

    definition: Definition
    search: Search
    home: SweepDirectory
    trials: dict[int, Trial]
    jobs: int
    display: Display
    total: int
    stacks: Stacks | None = None
    missing: str | None = None  # what is said of a metric that no run logs

    _running: dict[int, TrialProcess] = field(default_factory=dict)  # by slot
    _at: dict[int, Trial] = field(default_factory=dict)  # by slot
    _groups: dict[int, list[Trial]] = field(default_factory=dict)  # by slot; _at has the first
    _queue: deque[int] = field(default_factory=deque)  # trials that are to begin
    _histories: dict[int, list[float]] = field(default_factory=dict)

    def run(self) -> None:
        """Run all trials that are not done.

        Raises:
            ValueError: If the search needs a metric that no run logs, or no trial can begin.
        """
        self._threads = max(1, resources.cores() // self.jobs)
        self._gpus = resources.gpus()
        self._histories = {
            number: self._history(trial) for number, trial in self.trials.items() if trial.seconds
        }
        self._queue.extend(
            number
            for number in range(self.total)
            if number not in self.trials or self.trials[number].status is Status.RUNNING
        )
        self._check_arguments()
        self.display.begin(self.trials.values(), self.total)
        try:
            more = not self._target_reached()
            while (more and self._queue) or self._running:
                while more and self._queue and len(self._running) < self.jobs:
                    self._begin_next()
                processes.wait(self._running.values(), POLL)
                self._collect()
                self._stop_early()
                more = more and not self._target_reached()
                self.display.show(self._at.values(), self._latest)
        finally:
            for process in self._running.values():
                process.kill()
            for process in self._running.values():
                process.join()

    def _trial(self, number: int) -> Trial:
        """A trial as it begins; one that was killed with its sweep keeps its parameters."""
        if number in self.trials:
            point = self.trials[number].point
        else:
            point = self.search.point(number, self.trials.values())
        trial = Trial(number, self.search.parameters(point), point)
        trial.command = self._words(trial, trial_command.PYTHON)
        return trial

    def _words(self, trial: Trial, interpreter: str) -> list[str]:
        return trial_command.expand(
            self.definition.command,
            self.definition.program,
            trial.parameters,
            self.home.run_directory(trial) / _JSON,
            interpreter,
        )

    def _fit(self, trial: Trial) -> list[str] | None:
        """Arguments of the package's own `fit`, if that is what a trial runs."""
        names = [sys.executable]
        return trial_command.own_fit(self._words(trial, sys.executable), names)

    def _check_arguments(self) -> None:
        """Let the first trial's arguments be parsed before anything is trained."""
        if not self._queue:
            return
        number = self._queue[0]
        fit = self._fit(self._trial(number))
        processes.preload(fit is not None)
        if fit is None and self.stacks is not None:
            raise ValueError("--stack_seeds: only trials of this package's own fit can be stacked")
        if fit is None:
            return
        if any(word.split("=")[0] == "--run_dir" for word in fit):
            raise ValueError("command: every trial has its own --run_dir: leave it out")
        if complaint := processes.complaint(fit):
            raise ValueError(f"fit does not take the parameters of trial {number}: {complaint}")

    def _begin_next(self) -> None:
        trial = self._trial(self._queue.popleft())
        slot = next(slot for slot in range(self.jobs) if slot not in self._running)
        group = self.stacks.group(trial, map(self._trial, self._queue)) if self.stacks else []
        begun = group or [trial]
        trained = self._trained(trial, None) is not None
        log = self.home.run_directory(trial) / (_STACK_LOG if group else LOG)
        fits = []
        for each in begun:
            directory = self.home.run_directory(each) if trained else self.home.clean(each)
            if "${args_json_file}" in self.definition.command:
                text = strict_json.text(each.parameters, default=str) + "\n"
                write_whole(directory / _JSON, text)
            fit = self._fit(each)
            if fit is not None:
                last = ["--ckpt_path=last"] if trained else []
                fits.append([*fit, f"--run_dir={directory}", *last])
            self.trials[each.number] = each
        variables = resources.environment(slot, self._threads, self._gpus)
        variables |= {SWEEP: self.definition.name}
        if not group:
            variables[TRIAL] = str(trial.number)
        if not fits:
            variables[RUN_DIR] = str(directory.absolute())
        job = Job(
            command=self._words(trial, sys.executable),
            fits=fits,
            log=log.absolute(),
            lock=self.home.trials_lock.absolute(),
            directory=Path.cwd(),
            environment=variables,
            threads=int(variables[resources.THREADS]),
        )
        self._running[slot] = TrialProcess(job)
        self._at[slot] = trial
        if group:
            self._groups[slot] = group
            for each in group[1:]:
                self._queue.remove(each.number)
            self.display.say(f"{_listed(group)} are trained as one")
        self.display.began(trial)

    def _end_group(self, group: list[Trial], code: int, seconds: float) -> None:
        """Let each of them run: from where it was trained to, or as if nobody had tried."""
        assert self.stacks is not None
        self.stacks.ended(group, seconds if code == 0 else None)
        self._queue.extendleft(each.number for each in reversed(group))
        if code:
            why = endings.reason(code, self.home.run_directory(group[0]) / _STACK_LOG)
            self.display.warn(f"{_listed(group)} run one by one: {why.removeprefix('error: ')}")

    def _trained(self, trial: Trial, otherwise: Any) -> Any:
        """Seconds of a trial's training with others; what is said if there was none."""
        share = self.stacks.share(trial) if self.stacks else None
        return otherwise if share is None else share

    def _collect(self) -> None:
        for slot, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            del self._running[slot]
            trial = self._at.pop(slot)
            seconds = time.monotonic() - process.began
            if group := self._groups.pop(slot, None):
                self._end_group(group, code, seconds)
                continue
            directory = self.home.run_directory(trial)
            trial.seconds = round(seconds + self._trained(trial, 0.0), 2)
            trial.status = endings.status(code, process.stopped)
            if trial.status.is_bad:
                trial.error = endings.error(code, directory)
            self._judge(trial, directory)
            self._histories[trial.number] = self._history(trial)
            trial.save(directory)
            self.display.ended(trial, directory)
            if trial.status is Status.COMPLETE and trial.metric is None:
                self._say_missing(directory)

    def _judge(self, trial: Trial, directory: Path) -> None:
        """Note what a trial ended with, or that it diverged."""
        metric = None if self.definition.metric is None else self.definition.metric.name
        if trial.status in (Status.COMPLETE, Status.FAILED):
            why = trial_metrics.diverged(directory, metric)
            if why is not None:
                trial.status, trial.error = Status.DIVERGED, why[: endings.SHOWN]
                return
        value = None if metric is None else trial_metrics.final(directory, metric)
        trial.metric = None if value is None or math.isnan(value) else value

    def _say_missing(self, directory: Path) -> None:
        metric = self.definition.metric
        if metric is None or self.missing or any(t.metric is not None for t in self._done()):
            return
        names = trial_metrics.names(directory)
        hint = nearest(metric.name, names) if names else "it logs none"
        self.missing = f"{directory} has no finite metric {metric.name!r}: {hint}"
        if self.definition.method == "bayes" or self.definition.early_terminate is not None:
            raise ValueError(self.missing)
        self.display.warn(self.missing)

    def _stop_early(self) -> None:
        rule = self.definition.early_terminate
        if rule is None:
            return
        numbers = {trial.number: slot for slot, trial in self._at.items()}
        for number in numbers:
            self._histories[number] = self._history(self.trials[number])
        for number in hyperband.to_stop(self._histories, numbers, rule):
            self._running[numbers[number]].stop()

    def _history(self, trial: Trial) -> list[float]:
        """The metric's values so far, the lower the better; infinite where one is not finite."""
        metric = self.definition.metric
        if metric is None or self.definition.early_terminate is None:
            return []
        values = trial_metrics.history(self.home.run_directory(trial), metric.name)
        sign = 1 if metric.goal == "minimize" else -1
        return [math.inf if math.isnan(value) else sign * value for value in values]

    def _latest(self, trial: Trial) -> float | None:
        metric = self.definition.metric
        if metric is None:
            return None
        values = trial_metrics.history(self.home.run_directory(trial), metric.name)
        return values[-1] if values else None

    def _done(self) -> list[Trial]:
        return [t for t in self.trials.values() if t.status is not Status.RUNNING]

    def _target_reached(self) -> bool:
        metric = self.definition.metric
        return metric is not None and any(metric.reached(t.metric) for t in self._done())


def _listed(group: list[Trial]) -> str:
    return f"trials {', '.join(f'{each.number:03d}' for each in group)}"
