"""No absurd argument is taken, or ends in anything but one line that names it.

Faults kind 7 and G16; the constructors' part of G3 and G15; F17.
"""

import math
import re
from functools import cache
from typing import Any

import pytest
import torch

from lightning_posenc import Dims, Encoder
from lightning_posenc.cli import main
from lightning_posenc.diagnostics import order_error, position_error, probe_positions
from lightning_posenc.modules.optim import check_rates
from lightning_posenc.positional import PartialRoPE, PRoPE, RoPE
from tests.argument_scan import MADE_FOR_YOU, Outcome, Subject, public, scan, subjects

SUBJECTS = {subject.name: subject for subject in subjects()}


@pytest.mark.parametrize("name", SUBJECTS)
def test_absurd_arguments_are_refused_by_name_or_served(name: str) -> None:
    """Negative, 0, huge, NaN, infinite and of other kinds: kind 7, G3, G15 and G16 of faults.md."""
    wrong = [f"{each.argument}={each.value!r}: {each.kind} {each.said}"
             for each in outcomes(name) if not each.is_right]  # fmt: skip
    assert not wrong, "\n".join(wrong)


@cache
def outcomes(name: str) -> list[Outcome]:
    return list(scan(SUBJECTS[name]))


def test_the_scan_is_over_all_of_the_package() -> None:
    """A class that is exported is in it by itself; of each kind of value some are refused."""
    names = {name for name, _ in public()}
    assert {"RoPE", "YaRN", "Randomized", "Copy", "Window", "Encoder", "SyntheticData",
            "LanguageModel", "AttentionMaps", "TensorBoard"} <= SUBJECTS.keys()  # fmt: skip
    assert names >= SUBJECTS.keys() | (MADE_FOR_YOU - {"Visibility", "Both"})
    assert len(SUBJECTS) > 100


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda base=1.0: base ** "2", "raw error"),
        (lambda base=1.0: 1 / base, "raw error"),
        (lambda base=1.0: torch.tensor(-1.0).log(), "not finite"),
        (lambda base=1.0: (-1.0) ** 0.5, "not finite"),
        (lambda base=1.0: [1.0, None], "works"),
    ],
)
def test_the_scan_sees_what_is_wrong(make: Any, kind: str) -> None:
    made: Any = Subject("Made", make, {}, lambda make: make())
    make.__annotations__["base"] = float
    assert kind in {each.kind for each in scan(made)}


def test_a_fraction_is_rounded_before_it_is_cut() -> None:
    """F17: 0.7 · 180 is 125.99… in floating point."""
    assert PartialRoPE(Dims(180, 1, 1), fraction=0.7).width == 126
    assert PRoPE(Dims(100, 1, 1), fraction=0.58).n_turning == 29
    assert PRoPE(Dims(100, 1, 1), fraction=0.59).n_turning == 29


@pytest.mark.parametrize("option", ["lr", "weight_decay"])
@pytest.mark.parametrize("value", [1e30, math.inf])
def test_rates_that_are_no_rates(option: str, value: float) -> None:
    """G3: torch's optimizers take them."""
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], **{option: value})
    with pytest.raises(ValueError, match=re.escape(f"AdamW: {option}={value} must be")):
        check_rates(optimizer)
    check_rates(torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=0.0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model.positional=RoPE", "--model.positional.base=.nan"], "RoPE: base=nan must be"),
        (
            ["--model.schedule=WarmupCosine", "--model.schedule.final_ratio=-1"],
            "WarmupCosine: final_ratio=-1.0 must be",
        ),
    ],
)
def test_the_command_line_says_so_in_one_line(
    options: list[str], said: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """G3, G15, E6, and what kind 5 tells of `base=-1`, which trained to the end on NaN."""
    config = ["fit", "--config", "configs/quickstart.yaml", "--trainer.max_epochs=1"]
    assert main([*config, "--run_dir", str(tmp_path / "run"), *options]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert said in errors[0]


def test_samples_are_bounded_by_memory(capsys: pytest.CaptureFixture[str]) -> None:
    """G15: a length of 10^9 took 23 GB."""
    for option, said in (("--length=1000000000", "at most"), ("--n=-1", "at least")):
        assert main(["tasks", "Reverse", option]) == 2
        assert said in capsys.readouterr().err


def test_a_model_of_layers_without_end_is_not_begun() -> None:
    with pytest.raises(ValueError, match=r"^Dims: n_layers=100000 must be at most 10000$"):
        Encoder(Dims(32, 4, 100_000), RoPE)


@pytest.mark.parametrize("seed", [-1, 10**20, 1.5, "3", None])
@pytest.mark.parametrize("measure", [order_error, position_error])
def test_functions_that_measure_check_their_seeds(measure: Any, seed: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{measure.__name__}: seed={seed!r} must be"):
        measure(torch.randn(10, 4), seed=seed)


@pytest.mark.parametrize("ridge", [0.0, -1.0, math.nan, math.inf, "3", None])
def test_a_probe_checks_its_penalty(ridge: Any) -> None:
    states = torch.randn(2, 10, 4)
    with pytest.raises(ValueError, match=f"^fit_ridge: ridge={ridge!r} must be a number"):
        probe_positions(states, states, ridge=ridge)
