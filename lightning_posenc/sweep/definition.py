"""A sweep's file, in W&B's format.

Source: https://docs.wandb.ai/models/sweeps/sweep-config-keys, and the search engine behind it,
https://github.com/wandb/sweeps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lightning_posenc.mistakes.escaping import visible
from lightning_posenc.runs.untrusted import load_yaml, read_text
from lightning_posenc.sweep import parameters
from lightning_posenc.sweep.names import known, mapping, nearest
from lightning_posenc.sweep.parameters import Parameter
from lightning_posenc.sweep.trial_command import DEFAULT_COMMAND, check_macros

LEAST_ETA = 1.1  # brackets nearer together than this are no brackets
METHODS = ("grid", "random", "bayes")
KEYS = (
    "program", "command", "method", "metric", "parameters", "early_terminate", "run_cap", "name",
    "description",
)  # fmt: skip
FOR_W_AND_B = ("project", "entity", "apiVersion", "kind", "controller")  # nothing to us


class Objective(NamedTuple):
    """What a sweep is after.

    Args:
        name: Key that runs log.
        goal: Which way is better.
        target: Value at which no more trials are begun, or None.
    """

    name: str
    goal: Literal["minimize", "maximize"]
    target: float | None

    @property
    def rises(self) -> bool:
        """Whether more is better."""
        return self.goal == "maximize"

    def better(self, value: float, than: float) -> bool:
        """Whether one value beats another."""
        return value > than if self.rises else value < than

    def reached(self, value: float | None) -> bool:
        """Whether a value is at the target or beyond."""
        if self.target is None or value is None:
            return False
        return value == self.target or self.better(value, self.target)


class Hyperband(NamedTuple):
    """When to stop trials early; see `hyperband.py`.

    Args:
        min_iter: First bracket, in values logged, or None.
        max_iter: Values that a whole trial logs, or None.
        s: Number of brackets, with max_iter.
        eta: Ratio of one bracket to the next; the best 1/eta go on.
        strict: Whether a trial is judged by its value at the bracket, not by its best so far.
    """

    min_iter: int | None
    max_iter: int | None
    s: int
    eta: float
    strict: bool


@dataclass(frozen=True)
class Definition:
    """A sweep.

    Args:
        program: What `${program}` stands for.
        command: Command line of a trial, with macros.
        method: How parameters are chosen.
        parameters: What varies.
        metric: What the sweep is after, if it is said.
        early_terminate: When trials are stopped early, if ever.
        run_cap: Most trials, or None.
        name: Of the sweep; its directory is called so.
        identity: What must not change in a sweep's directory, as the file has it.
    """

    program: str
    command: list[str]
    method: Literal["grid", "random", "bayes"]
    parameters: list[Parameter]
    metric: Objective | None
    early_terminate: Hyperband | None
    run_cap: int | None
    name: str
    identity: Mapping[str, Any] = field(repr=False)


def load(path: Path) -> Definition:
    """Read a sweep's file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: On the first thing in it that is not as W&B has it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; name a sweep's YAML file")
    try:
        content = load_yaml(read_text(path), str(path))
        if visible(content) != content:
            raise ValueError(f"{path}: holds control characters")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: name a sweep's YAML file") from error
    try:
        return _definition(mapping("the file", content), path.stem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _definition(content: Mapping[str, Any], stem: str) -> Definition:
    known("the file", content, [*KEYS, *FOR_W_AND_B])
    for key in ("program", "method", "parameters"):
        if key not in content:
            raise ValueError(f"{key} is missing")
    method = content["method"]
    if method not in METHODS:
        raise ValueError(f"method {method!r} is none of {', '.join(METHODS)}")
    command = content.get("command") or DEFAULT_COMMAND
    if not isinstance(command, list):
        raise ValueError(f"command must be a list of words, got {command!r}")
    command = [str(word) for word in command]
    check_macros(command)
    space = parameters.parse(content["parameters"])
    metric = _metric(content["metric"]) if "metric" in content else None
    stop = content.get("early_terminate")
    for needs, what in ((method == "bayes", "method: bayes"), (stop, "early_terminate")):
        if needs and metric is None:
            raise ValueError(f"{what} needs a metric: add metric: {{name: val/loss}}")
    run_cap = content.get("run_cap")
    if run_cap is not None and (not _whole(run_cap) or run_cap < 1):
        raise ValueError(f"run_cap={run_cap!r} must be a whole number, at least 1")
    _check_grid(method, space)
    return Definition(
        program=str(content["program"]),
        command=command,
        method=method,
        parameters=space,
        metric=metric,
        early_terminate=_hyperband(stop) if stop else None,
        run_cap=run_cap,
        name=_name(content.get("name", stem)),
        identity={key: content.get(key) for key in KEYS[:6]},
    )


def _metric(given: Any) -> Objective:
    block = mapping("metric", given)
    # The imputed values are the search engine's own business.
    known("metric", block, ["name", "goal", "target", "impute", "impute_while_running"])
    if not isinstance(block.get("name"), str):
        raise ValueError("metric needs a name, for example val/acc")
    goal = block.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise ValueError(f"metric.goal={goal!r}: {nearest(str(goal), ('minimize', 'maximize'))}")
    target = block.get("target")
    if target is not None and not _finite(target):
        raise ValueError(f"metric.target={target!r} is not a number")
    return Objective(block["name"], goal, target)


def _hyperband(given: Any) -> Hyperband:
    block = mapping("early_terminate", given)
    known("early_terminate", block, ["type", *Hyperband._fields])
    if block.get("type") != "hyperband":
        raise ValueError(f"early_terminate.type={block.get('type')!r}: there is hyperband only")
    if not {"max_iter", "s"} <= block.keys() and "min_iter" not in block:
        raise ValueError("early_terminate: give min_iter, or max_iter and s")
    for key in ("min_iter", "max_iter", "s"):
        if key in block and (not _whole(block[key]) or block[key] < 1):
            raise ValueError(f"early_terminate.{key}={block[key]!r}: give a whole number above 0")
    eta, strict = block.get("eta", 3), block.get("strict", False)
    if not _finite(eta) or eta < LEAST_ETA:
        raise ValueError(
            f"early_terminate.eta={eta!r} must be a number above 1, at least {LEAST_ETA}"
        )
    if not isinstance(strict, bool):
        raise ValueError(f"early_terminate.strict={strict!r} must be true or false")
    if "max_iter" in block and block["max_iter"] < eta:
        raise ValueError("early_terminate: max_iter below eta leaves no bracket: raise max_iter")
    return Hyperband(
        block.get("min_iter"), block.get("max_iter"), block.get("s", 0), float(eta), strict
    )


def _check_grid(method: str, space: list[Parameter]) -> None:
    for parameter in space if method == "grid" else ():
        if parameter.choices is None:
            raise ValueError(
                f"parameters: {parameter.name} has no values that a grid could hold: give values "
                "without probabilities, or method: random"
            )


def _name(given: Any) -> str:
    name = str(given)
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"name {name!r} cannot name a directory: use letters, digits, _ and -")
    return name


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
