"""A sweep's file: what it says, and what is said of a mistake in it."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_posenc.sweep import definition, parameters

GOOD: dict[str, Any] = {
    "program": "train.py",
    "method": "random",
    "metric": {"name": "val/loss"},
    "parameters": {"lr": {"min": 0.001, "max": 0.1}},
}


def load(tmp_path: Path, **changes: Any) -> definition.Definition:
    path = tmp_path / "search.yaml"
    content = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return definition.load(path)


def test_what_is_left_out_is_as_w_and_b_has_it(tmp_path: Path) -> None:
    found = load(tmp_path, early_terminate={"type": "hyperband", "min_iter": 3})
    assert found.command == ["${env}", "${interpreter}", "${program}", "${args}"]
    assert found.metric == ("val/loss", "minimize", None)
    assert found.early_terminate == (3, None, 0, 3.0, False)
    assert found.name == "search"


@pytest.mark.parametrize(
    ("spec", "distribution"),
    [
        ({"min": 1, "max": 4}, "int_uniform"),
        ({"min": 1, "max": 4.0}, "uniform"),
        ({"min": 1, "max": 4, "distribution": "uniform"}, "uniform"),
        ({"min": 1, "max": 4, "distribution": "q_log_uniform_values"}, "q_log_uniform_values"),
    ],
)
def test_bounds_alone_choose_a_distribution(spec: dict[str, Any], distribution: str) -> None:
    (found,) = parameters.parse({"x": spec})
    assert isinstance(found, parameters.Drawn)
    assert found.distribution == distribution


def test_nested_blocks_are_taken_apart_and_put_together() -> None:
    block = {
        "a": {"value": 1},
        "b": {"parameters": {"c": {"values": [2, 3]}, "d": {"parameters": {"e": {"value": 4}}}}},
    }
    found = parameters.parse(block)
    assert [parameter.name for parameter in found] == ["a", "b/c", "b/d/e"]
    values = {parameter.path: parameter.quantile(0.9) for parameter in found}
    assert parameters.nested(values) == {"a": 1, "b": {"c": 3, "d": {"e": 4}}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"programm": "x"}, "unknown key 'programm': did you mean program?"),
        ({"method": None}, "method is missing"),
        ({"method": "gird"}, "none of grid, random, bayes"),
        ({"command": "python train.py"}, "command must be a list"),
        ({"command": ["${arg}"]}, "unknown macro ${arg}: did you mean args?"),
        ({"run_cap": 0}, "run_cap=0 must be a whole number"),
        ({"run_cap": True}, "run_cap=True"),
        ({"name": "a/b"}, "cannot name a directory"),
        ({"metric": {"nam": "x"}}, "metric: unknown key 'nam': did you mean name?"),
        ({"metric": {"name": "x", "goal": "maximise"}}, "did you mean maximize?"),
        ({"metric": None, "method": "bayes"}, "method: bayes needs a metric"),
        ({"metric": None, "early_terminate": {"type": "hyperband", "min_iter": 1}}, "needs a metr"),
        ({"early_terminate": {"type": "envelope"}}, "there is hyperband only"),
        ({"early_terminate": {"type": "hyperband"}}, "give min_iter, or max_iter and s"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 9}}, "give min_iter, or"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "above 1"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 2, "s": 1}}, "no bracket"),
        ({"parameters": {}}, "parameters is empty"),
        ({"parameters": {"x": {"values": []}}}, "at least one value"),
        ({"parameters": {"x": 3}}, "must be a mapping"),
        ({"parameters": {"x+": {"value": 3}}}, "rename it"),
        ({"parameters": {"x": {"valuess": [1]}}}, "did you mean values?"),
        ({"parameters": {"x": {"min": 1}}}, "min and max"),
        ({"parameters": {"x": {"min": 2, "max": 1}}}, "min 2 is not below max 1"),
        ({"parameters": {"x": {"distribution": "log_normal", "sigma": 1e9}}}, "no float holds"),
        ({"parameters": {"x": {"distribution": "q_log_normal", "sigma": 1e9}}}, "no float holds"),
        ({"parameters": {"x": {"distribution": "log_uniform", "min": 0, "max": 1e4}}}, "no float"),
        ({"parameters": {"x": {"distribution": "normal", "mu": 1.7e308, "sigma": 1e308}}}, "no fl"),
        ({"parameters": {"x": {"min": -1.7e308, "max": 1.7e308}}}, "no float holds"),
        ({"parameters": {"x": {"min": 0, "max": math.inf}}}, "x.max=inf is not finite"),
        ({"parameters": {"x": {"min": math.nan, "max": 1.0}}}, "x.min=nan is not finite"),
        ({"parameters": {"x": {"min": 0, "max": 10**30}}}, "beyond 64 bits"),
        ({"parameters": {"x": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 1e-300}}},
         "q of q_uniform is too small"),
        ({"metric": {"name": "x", "target": math.nan}}, "metric.target=nan is not a number"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": math.inf}}, "eta=inf"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1.0001}}, "least 1.1"),
        ({"parameters": {"x": {"min": "1e-4", "max": 1.0}}}, "write 1.0e-4"),
        ({"parameters": {"x": {"distribution": "norml"}}}, "did you mean normal?"),
        ({"parameters": {"x": {"distribution": "normal", "mean": 1}}}, "unknown key 'mean'"),
        ({"parameters": {"x": {"distribution": "normal", "sigma": -1}}}, "not be negative"),
        ({"parameters": {"x": {"distribution": "beta", "a": 0}}}, "above 0"),
        ({"parameters": {"x": {"distribution": "log_uniform_values", "min": 0, "max": 1}}}, "abov"),
        ({"parameters": {"x": {"distribution": "uniform", "max": 1}}}, "needs min"),
        ({"parameters": {"x": {"value": 1, "distribution": "normal"}}}, "takes no value"),
        ({"parameters": {"x": {"values": [1, 2], "probabilities": [1]}}}, "each of the 2"),
        ({"parameters": {"x": {"values": [1, 2], "probabilities": [0.5, 0.6]}}}, "sum to 1"),
        ({"parameters": {"x": {"parameters": {}}}}, "parameters.x.parameters is empty"),
        ({"parameters": {"x": {"parameters": {"y": {"vlue": 1}}}}}, "x.parameters.y: unknown"),
        ({"method": "grid"}, "lr has no values that a grid could hold"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_in_one_line(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        load(tmp_path, **changes)
    assert "search.yaml: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "program: p\nmethod: random\nparameters: &a {x: {parameters: *a}}\n",
        "parameters: " + "[" * 100_000,
        "run_cap: 2024-13-45\n",
        "\x00\x01",
    ],
    ids=["within itself", "nested", "no date", "binary"],
)
def test_odd_files_are_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"odd\.yaml: ") as caught:
        definition.load(file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_yaml(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("parameters: {")
    with pytest.raises(ValueError, match=r"broken\.yaml: not YAML"):
        definition.load(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        definition.load(tmp_path / "none.yaml")
