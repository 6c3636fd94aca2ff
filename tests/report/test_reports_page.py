"""The commands of docs/reports.md run, one after the other."""

import re
import shlex
from pathlib import Path

import pytest

from lightning_posenc.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "reports.md"
QUICK = ["--data.steps_per_epoch=3", "--trainer.max_epochs=2", "--data.eval_samples=32",
         "--trainer.log_every_n_steps=1"]  # fmt: skip


@pytest.mark.long
def test_the_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^python -m lightning_posenc (.+)$", PAGE.read_text("utf-8"), re.M)
    assert len(commands) == 8
    for command in commands:
        arguments = shlex.split(command)
        assert main([*arguments, *(QUICK if arguments[0] == "fit" else ())]) == 0, command
    for made in ("rope/run.html", "diff.html", "rope/explorer.html", "report.html", "paper.tex"):
        assert (tmp_path / "runs" / made).is_file() or (
            tmp_path / "runs" / "rope" / "checkpoints" / made
        ).is_file(), made
    assert list((tmp_path / "runs" / "figures").glob("*.pdf"))
