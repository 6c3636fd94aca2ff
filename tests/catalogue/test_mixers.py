"""The command `mixers`: what it says is found out by running, a stranger's mixers included, and the
documentation says the same.
"""

from pathlib import Path

import pytest

from lightning_posenc import Dims
from lightning_posenc.catalogue import described_mixers as described
from lightning_posenc.catalogue import mixers as command
from lightning_posenc.cli import main
from lightning_posenc.model import Additive, Attention, FNet, LinearAttention, Mixer, Retention
from lightning_posenc.positional import (
    ALiBi,
    CoPE,
    FoX,
    LearnedRelativeBias,
    NoPE,
    PoPE,
    PositionalEncoding,
    RoPE,
    Sinusoidal,
)

DIMS = Dims(32, 4, 1)
PAGE = Path(__file__).parents[2] / "docs" / "mixers.md"
AT_FIRST = Dims(256, 4, 1)  # what the command takes if nobody says more


@pytest.mark.parametrize(
    ("kind", "encoding", "found"),
    [
        (Attention, RoPE, "yes"),
        (Attention, LearnedRelativeBias, "yes"),  # of zeros at first
        (Attention, FoX, "causal"),
        (LinearAttention, RoPE, "yes"),
        (LinearAttention, ALiBi, "bias"),
        (LinearAttention, CoPE, "rescore"),
        (Additive, RoPE, "transform"),
        (Retention, RoPE, "causal"),
        (FNet, Sinusoidal, "bidirectional"),
        (FNet, NoPE, "bidirectional"),
    ],
)
def test_a_pair_is_run(kind: type[Mixer], encoding: type[PositionalEncoding], found: str) -> None:
    assert described.tried(kind, encoding) == found


def test_a_pair_refused_for_another_reason_than_a_hook() -> None:
    from lightning_posenc.model import Performer

    assert described.tried(Performer, PoPE) == "refused"


class Deaf(LinearAttention):
    """Says that it honours a bias, and does not."""

    hooks = LinearAttention.hooks | {"bias"}


def test_a_mixer_that_ignores_what_it_says_it_honours_is_seen() -> None:
    assert described.tried(Deaf, ALiBi) == "ignored"


def test_what_a_layer_remembers_is_counted() -> None:
    assert described.state_of(Attention, DIMS) == "64 a token"
    assert described.state_of(LinearAttention, DIMS) == f"{4 * 8 * 9:,} in all"
    assert described.state_of(FNet, DIMS) == "none"


def test_every_mixer_names_its_source_and_its_growth() -> None:
    entries = list(described.mixers(DIMS))
    assert {"Additive", "Attention", "LatentAttention", "Performer"} <= {e.name for e in entries}
    for entry in entries:
        assert entry.paper is not None, entry.name
        assert entry.growth is not None, entry.name
        assert entry.error is None or entry.error < 1e-5, entry.name


def test_what_is_linear_was_measured_so() -> None:
    """A promise of the issue: exponents of time and memory at most 1.15 from 512 to 8192."""
    exponents = described.records()["exponents"]
    linear = [
        e.name for e in described.mixers(DIMS) if e.growth is not None and e.growth.time == "T"
    ]
    assert {"LinearAttention", "Performer", "Retention"} <= set(linear)
    masks = ("Longformer", "BigBird")
    for name in ("LinearAttention", "Performer", "Retention", "Nystromformer", "Linformer", *masks):
        assert exponents[name]["time"] <= 1.15, name
        assert exponents[name]["memory"] <= 1.15, name


def test_markdown_has_a_row_for_each_and_a_column_in_the_matrix() -> None:
    entries = list(described.mixers(DIMS))
    said = command.markdown(entries, [("RoPE", ["yes"] * len(entries))])
    for entry in entries:
        assert f"| `{entry.name}` | {entry.paper.link if entry.paper else ''} |" in said
    assert f"| `RoPE` |{' yes |' * len(entries)}" in said


@pytest.mark.slow
def test_a_strangers_mixers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mixers", "tests.open_block.elu_sum", "--d_model=32"]) == 0
    shown = capsys.readouterr().out
    assert "tests.open_block.elu_sum.EluSum" in shown
    assert "encodings" in shown
    assert "RoPE" in shown


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--width=3", "mixers: unrecognized arguments"),
        ("--d_model=7", "d_model=7 must be a multiple"),
        ("lightning_posenc.dims", "defines no mixer"),
        ("nowhere", "no module 'nowhere'"),
    ],
)
def test_bad_arguments_end_in_one_line(
    argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mixers", argument]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_the_page_has_the_table_that_the_command_prints() -> None:
    """python -m lightning_posenc mixers --markdown"""
    table, *_ = command.markdown(list(described.mixers(AT_FIRST)), []).split("\n\n")
    assert table in PAGE.read_text("utf-8"), f"paste it into {PAGE.name} as its head says"


@pytest.mark.slow
def test_no_pair_is_ignored_and_the_page_has_the_matrix() -> None:
    matrix = list(described.pairs(described.makeable()))
    for name, found in matrix:
        assert "ignored" not in found, name
    printed = command.markdown(list(described.mixers(AT_FIRST)), matrix)
    assert printed in PAGE.read_text("utf-8"), f"paste it into {PAGE.name} as its head says"
