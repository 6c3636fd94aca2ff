"""Ranks that end in the same line say it once; one that has a line of its own says that."""

import io
import time
from contextlib import redirect_stderr

import pytest
from torch import distributed

from lightning_posenc.mistakes import ranks
from lightning_posenc.mistakes.one_line import guarded
from tests.distributed.ranks import on_ranks


def refused(lines: list[str | None], patience: float) -> tuple[int, str]:
    """The exit status of a rank that ends in a line of its own, or works on, and what it says."""
    ranks.PATIENCE = patience
    line = lines[distributed.get_rank()]

    def run() -> None:
        if line is not None:
            raise ValueError(line)
        time.sleep(2 * patience)

    said = io.StringIO()
    with redirect_stderr(said):
        status = guarded(run, (ValueError,))
    return status, said.getvalue().partition(" (")[0]  # where it was raised: in this file


@pytest.mark.slow
def test_the_same_line_is_said_by_the_first_rank_alone() -> None:
    one = "data.path=x: give a file"
    assert on_ranks(refused, [one, one], 30.0) == [(2, f"error: {one}"), (2, "")]


@pytest.mark.slow
def test_what_a_rank_alone_has_to_say_is_said() -> None:
    assert on_ranks(refused, [None, "no space"], 0.5) == [(0, ""), (2, "error: no space")]
    assert on_ranks(refused, ["this", "that"], 0.5) == [(2, "error: this"), (2, "error: that")]


def test_one_process_waits_for_nobody() -> None:
    began = time.monotonic()
    assert not ranks.said_by_first_rank("x")
    assert time.monotonic() - began < 1
