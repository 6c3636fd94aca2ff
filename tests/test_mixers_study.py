"""The study of mixers and encodings: its page, its numbers, and what docs/mixers.md says."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = (RESULTS / "mixers_study.md").read_text("utf-8")
KEPT = json.loads((RESULTS / "mixers_study.json").read_text("utf-8"))
SAID = (ROOT / "docs" / "mixers.md").read_text("utf-8").partition("## Oracles")[0]


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("mixers_study")


def test_tables_are_those_of_the_numbers(study: Any) -> None:
    assert set(KEPT["values"]) == set(study.TASKS)
    for mixers in KEPT["values"].values():
        for line in study.table(mixers):
            assert line in PAGE.splitlines()


def test_shift_and_reverse_cannot_be_guessed_without_order(study: Any) -> None:
    """A study in which nothing is learned, or everything is, would say nothing."""
    for task in ("Shift", "Reverse"):
        attention = KEPT["values"][task]["Attention"]
        assert min(attention["Sinusoidal"]) > 0.95
        assert max(attention["NoPE"]) < KEPT["without_order"][task] + 0.02


def test_what_docs_say_was_measured() -> None:
    numbers = re.findall(r"\d\.\d{3} ± \d\.\d{3}", " ".join(SAID.split()))
    assert len(numbers) >= 12
    for number in numbers:
        assert f" {number} |" in PAGE, number
