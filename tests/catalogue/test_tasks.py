"""The command `tasks`."""

import pytest

from lightning_posenc.catalogue.tasks import available, example_length
from lightning_posenc.cli import main
from lightning_posenc.tasks import Copy


def test_lists_every_task(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["tasks"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in available())


def test_prints_samples_that_a_person_can_read(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["tasks", "Copy", "--n", "2", "--length=7", "--n_symbols=4", "--seed=1"]
    assert main(arguments) == 0
    title, *blocks = capsys.readouterr().out.strip().split("\n\n")
    assert title.startswith("Copy, length 7: ")
    assert len(blocks) == 2
    for block in blocks:
        tokens, answers = (line.split() for line in block.splitlines())
        assert tokens[3:] == ["4", "5", "5", "5"]
        assert answers == ["·"] * 4 + tokens[:3]


@pytest.mark.parametrize("name", available())
def test_every_task_shows_samples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name in ("SCAN", "Mixture"):  # of the user's files, and of other tasks
        assert main(["tasks", name]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
        return
    assert main(["tasks", name, "--n=2"]) == 0
    assert name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Revers"], "no task 'Revers': did you mean Reverse?"),
        (["Copy", "--length=2"], "choose a length of at least 3"),
        (["Copy", "--width=2"], "unknown option width"),
        (["Copy", "--n_symbols=1"], "n_symbols=1 must be at least 2"),
        (["--n=3"], "give the name of a task first"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tasks", *arguments]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


def test_example_length_is_one_that_works() -> None:
    assert example_length(Copy()) == 10
