"""Grid, random and bayes: which parameters trial n gets."""

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from lightning_posenc.sweep import definition
from lightning_posenc.sweep.definition import Definition
from lightning_posenc.sweep.display import Display
from lightning_posenc.sweep.search import Search
from lightning_posenc.sweep.searches import search_of
from lightning_posenc.sweep.trial import Status, Trial


def load(tmp_path: Path, method: str, parameters: dict[str, Any], goal: str) -> Definition:
    path = tmp_path / "s.yaml"
    content = {
        "program": "p",
        "method": method,
        "metric": {"name": "m", "goal": goal},
        "parameters": parameters,
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return definition.load(path)


def test_a_grid_is_every_combination_in_the_files_order(tmp_path: Path) -> None:
    block = {
        "z": {"values": ["p", "q"]},
        "a": {"min": 1, "max": 2},
        "c": {"value": 0},
        "n": {"parameters": {"b": {"values": [True, None]}}},
    }
    grid = search_of(load(tmp_path, "grid", block, "minimize"), seed=0)
    assert grid.size == 8
    found = [grid.parameters(grid.point(n, ())) for n in range(8)]
    expected = itertools.product("pq", (1, 2), (0,), (True, None))
    assert found == [{"z": z, "a": a, "c": c, "n": {"b": b}} for z, a, c, b in expected]


def test_a_random_trial_is_a_function_of_seed_and_number(tmp_path: Path) -> None:
    block = {"x": {"min": 0.0, "max": 1.0}, "y": {"values": [1, 2, 3]}}
    of = {seed: search_of(load(tmp_path, "random", block, "minimize"), seed) for seed in (0, 1)}
    drawn = {(s, n): of[s].parameters(of[s].point(n, ())) for s in (0, 1) for n in range(300)}
    backwards = {(s, n): of[s].parameters(of[s].point(n, ())) for s, n in reversed(drawn)}
    assert drawn == backwards
    assert len({values["x"] for values in drawn.values()}) == 600
    mean = sum(values["x"] for values in drawn.values()) / 600
    assert abs(mean - 0.5) < 4 * math.sqrt(1 / 12 / 600)
    # Another parameter does not shift those that are there.
    more = search_of(
        load(tmp_path, "random", {"w": {"min": 0.0, "max": 1.0}, **block}, "minimize"), 0
    )
    assert more.parameters(more.point(7, ()))["x"] == drawn[0, 7]["x"]


BLOCK = {
    "lr": {"distribution": "log_uniform_values", "min": 1.0e-5, "max": 1.0},
    "encoding": {"values": [{"class_path": "RoPE"}, "NoPE", "ALiBi"]},
    "fixed": {"value": 1},
}


def loss(parameters: dict[str, Any]) -> float:
    wrong = 0.0 if parameters["encoding"] == {"class_path": "RoPE"} else 2.0
    return abs(math.log10(parameters["lr"]) + 2) + wrong


def run(searcher: Search, n: int, sign: int = 1) -> list[Trial]:
    trials: list[Trial] = []
    for number in range(n):
        point = searcher.point(number, trials)
        trial = Trial(number, searcher.parameters(point), point, status=Status.COMPLETE)
        trial.metric = sign * loss(trial.parameters)
        trials.append(trial)
    return trials


@pytest.mark.parametrize(("goal", "sign"), [("minimize", 1), ("maximize", -1)])
def test_bayes_learns_from_what_it_is_told(tmp_path: Path, goal: str, sign: int) -> None:
    bayes = search_of(load(tmp_path, "bayes", BLOCK, goal), seed=0)
    trials = run(bayes, 40, sign)
    early, late = trials[:10], trials[-15:]
    assert len({trial.parameters["lr"] for trial in trials}) == 40
    right = [trial.parameters["encoding"] == {"class_path": "RoPE"} for trial in late]
    assert sum(right) >= 9  # 5 by chance
    best = min(loss(trial.parameters) for trial in late)
    assert best < 0.2
    assert sum(map(loss, (t.parameters for t in late))) / 15 < 0.6 * (
        sum(map(loss, (t.parameters for t in early))) / 10
    )


def test_bayes_goes_on_after_a_restart_as_if_nothing_had_happened(tmp_path: Path) -> None:
    sweep = load(tmp_path, "bayes", BLOCK, "minimize")
    trials = run(search_of(sweep, seed=0), 14)
    again = search_of(sweep, seed=0).point(13, trials[:13])
    assert again == trials[13].point


def test_bayes_is_told_of_every_kind_of_end(tmp_path: Path) -> None:
    bayes = search_of(load(tmp_path, "bayes", BLOCK, "minimize"), seed=0)
    trials = run(bayes, 12)
    for trial, status in zip(trials, Status, strict=False):
        trial.status = status
    trials[0].metric = trials[2].metric = None
    assert bayes.parameters(bayes.point(12, trials))["fixed"] == 1


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_bayes_takes_what_diverged_for_the_worst(tmp_path: Path, goal: str) -> None:
    """B23: Optuna forgets failed trials, and would draw them again; of pruned ones those without a
    value are the worst. A value of 0 is one.
    """
    bayes = search_of(load(tmp_path, "bayes", {"x": {"values": ["good", "bad"]}}, goal), seed=0)
    trials = []
    for number in range(30):
        bad = number % 2
        status = Status.DIVERGED if bad else Status.COMPLETE
        metric = None if bad else 0.0
        trials.append(
            Trial(number, {"x": "bad" if bad else "good"}, {"x": bad}, [], status, metric)
        )
    drawn = [bayes.point(30 + n, trials)["x"] for n in range(12)]
    assert drawn.count(0) >= 10


@pytest.mark.parametrize(
    "spec",
    [{"min": 0, "max": 2**31 - 1}, {"distribution": "q_uniform", "min": 0, "max": 1e12, "q": 1}],
    ids=["int_uniform", "q_uniform"],
)
@pytest.mark.parametrize("method", ["random", "bayes", "grid"])
def test_a_range_of_billions_is_no_list(tmp_path: Path, method: str, spec: dict) -> None:
    """G7: `{min: 0, max: 2147483647}` was kept as a list of all its numbers, 12 GB and no end."""
    sweep = load(tmp_path, method, {"x": spec}, "minimize")
    chosen = search_of(sweep, seed=0)
    point = chosen.point(0, [])
    value = chosen.parameters(point)["x"]
    assert spec["min"] <= value <= spec["max"]
    display = Display(sweep.parameters, sweep.metric, 1, Console())
    assert display.describe(Trial(0, chosen.parameters(point), point)).startswith("x=")
    if method == "grid":
        assert chosen.size is not None
        last = chosen.parameters(chosen.point(chosen.size - 1, []))["x"]
        assert last == spec["max"] - (0 if "q" not in spec else 1)


def test_bayes_without_optuna_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValueError, match=r"pip install 'lightning-posenc\[bayes\]'"):
        search_of(load(tmp_path, "bayes", BLOCK, "minimize"), seed=0)
