"""The command `encodings`: what it says is true, and docs/catalogue.md says the same."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc import positional
from lightning_posenc.catalogue import described
from lightning_posenc.catalogue.docstrings import docstring
from lightning_posenc.catalogue.encodings import cells, markdown
from lightning_posenc.cli import main
from lightning_posenc.positional import PositionalEncoding
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions import Consecutive, Places, Positions
from tests.cases import CASES, Case
from tests.catalogue.entries import DIMS, ENTRIES
from tests.helpers import dims

CATALOGUE = Path(__file__).parents[2] / "docs" / "catalogue.md"


def plain(case: Case) -> bool:
    """Whether the case has its class's own defaults, as the command has."""
    own = getattr(positional, getattr(case.factory, "__name__", ""), None)
    return case.factory is own and isinstance(case.positions(), Consecutive)


def test_the_catalogue_has_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """python -m lightning_posenc encodings --markdown"""
    monkeypatch.setattr(described, "encodings", lambda dims, _: {DIMS: ENTRIES.values()}[dims])
    assert markdown(DIMS) in CATALOGUE.read_text("utf-8")


def test_at_least_40_methods() -> None:
    methods = [*ENTRIES, *described.samplers(), *described.scalings()]
    assert len(methods) >= 40


@pytest.mark.parametrize("case", list(filter(plain, CASES)), ids=lambda case: case.name)
def test_what_is_found_out_is_what_the_case_says(case: Case) -> None:
    entry = ENTRIES[type(case.factory(dims(causal=True))).__name__]
    aware = {True: "yes", False: "no"}[case.order_aware_bidirectional]
    assert entry.order == ("causal only" if case.refused else aware)
    assert (entry.length == "any") == case.extrapolates


@pytest.mark.parametrize("name", ENTRIES)
def test_the_limit_is_the_longest_that_works(name: str) -> None:
    if ENTRIES[name].length == "any":
        return
    limit = int(ENTRIES[name].length)
    encoding: PositionalEncoding = getattr(positional, name)(dims(causal=True))
    reaching = described.example_positions(encoding, 2, step=limit - 1)
    farther = torch.arange(2).view(1, 2, *[1] * (reaching.dim() - 2))
    with pytest.raises(ValueError, match=str(limit)):
        encoding.check(Places(reaching + farther))


def test_every_method_was_timed() -> None:
    assert {name for name, entry in ENTRIES.items() if entry.cost is None} == set()


def test_every_sampler_and_scaling_is_listed() -> None:
    listed = {name for name, _, _ in (*described.samplers(), *described.scalings())}
    assert {"Consecutive", "Randomized", "Grid", "Shifted", "YaRN", "Llama3"} <= listed


def test_the_terminal_shows_the_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["encodings", "--d_model=64"]) == 0
    shown = capsys.readouterr().out
    assert "d_model=64" in shown
    learned = re.search(r"LearnedAbsolute.*?([\d,]+)", shown)
    assert learned is not None
    assert f"{512 * 64:,}" in shown


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--width=3", "encodings: unrecognized arguments"),
        ("--d_model=7", "d_model=7 must be a multiple"),
    ],
)
def test_bad_arguments_end_in_one_line(
    argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encodings", argument]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_listing_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    described.describe(positional.T5Bias, DIMS)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_class_without_a_paper_is_described_too() -> None:
    class Mine(PositionalEncoding):
        """No paper."""

    entry = described.describe(Mine, DIMS)
    assert entry.paper is None
    name, paper = cells(entry)[:2]
    assert name.endswith(".Mine")  # a stranger's is named by its path
    assert paper == ""


def test_a_docstring_cites_the_paper_that_the_class_names() -> None:
    """Two places, one truth: number at arXiv, first author and year."""
    bases = (PositionalEncoding, Positions, Scaling)
    kinds = [kind for base in bases for kind in subclasses(base) if "source" in vars(kind)]
    assert len(kinds) >= 50
    for kind in kinds:
        said, paper = " ".join(docstring(kind).split()), kind.source
        assert f"arXiv:{paper.arxiv}" in said, kind
        assert f"{paper.authors} {paper.year}" in said, kind


def subclasses(of: type) -> list[Any]:
    """Those of the package, abstract ones too."""
    kinds = [kind for each in of.__subclasses__() for kind in (each, *subclasses(each))]
    return [kind for kind in kinds if kind.__module__.startswith("lightning_posenc.")]
