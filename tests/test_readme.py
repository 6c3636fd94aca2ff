"""Commands of the README and of the pages behind it run, and their code is what it says."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from lightning_posenc.cli import main
from lightning_posenc.testing import check_sampler

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
LONGER = [
    (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    for page in ("catalogue", "running", "own", "results", "images")
]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", "".join([README, *LONGER]), flags=re.DOTALL)
COMMANDS = list(
    dict.fromkeys(
        found.strip()
        for language, block in BLOCKS
        if language == "sh"
        for line in block.replace("\\\n", " ").splitlines()
        for found in re.findall(r"python -m lightning_posenc ([^&#]+)", line)
    )
)
MY_MODULE = next(block for language, block in BLOCKS if "class MyBias" in block)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of the README, on one batch where it trains."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for folder in ("configs", "sweeps"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "my_module.py").write_text(MY_MODULE)
    (tmp_path / "tinyshakespeare.txt").write_text("to be, or not to be: the question\n" * 200)
    if "RUN" in command:
        pictures(tmp_path)
    arguments = shlex.split(command)
    if arguments[0] == "sweep":
        arguments += ["--run_cap", "1"]
    elif "ID" in command or arguments[0] == "report":  # what the reader has made before
        quick = ["--data.steps_per_epoch=2", "--trainer.max_epochs=1", "--data.eval_samples=64"]
        quick.append("--trainer.log_every_n_steps=1")
        made = ["fit", "--config", "configs/quickstart.yaml", *quick]
        run = "runs/quick/0" if arguments[0] == "report" else "runs/quickstart/ID"
        assert main([*made, "--run_dir", run]) == 0
    elif "RUN/" in command:
        made = next(each for each in COMMANDS if "--run_dir=RUN" in each)
        quick = ["--data.steps_per_epoch=2", "--trainer.max_epochs=1"]
        assert main([*shlex.split(made), *quick, "--trainer.log_every_n_steps=1"]) == 0
    elif arguments[0] == "fit":
        arguments.append("--trainer.fast_dev_run=1")
    assert main(arguments) == 0


def pictures(folder: Path) -> None:
    """FOLDER has a folder for each of two classes, OTHERS has none."""
    for kind in ("FOLDER/dark", "FOLDER/light", "OTHERS"):
        (folder / kind).mkdir(parents=True)
        for number in range(20):
            shade = 10 * number if kind == "OTHERS" else 20 + 180 * (kind == "FOLDER/light")
            Image.new("RGB", (40, 36), (shade, shade, number)).save(folder / kind / f"{number}.png")


def test_the_sampler_of_ones_own_keeps_every_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = next(block for _, block in BLOCKS if "class FromTheEnd" in block)
    (tmp_path / "my_sampler.py").write_text("import torch\n" + block)
    monkeypatch.syspath_prepend(tmp_path)
    check_sampler(importlib.import_module("my_sampler").FromTheEnd)


def test_an_encoding_of_ones_own_takes_15_lines() -> None:
    assert len([line for line in MY_MODULE.splitlines() if line.strip()]) <= 15


def test_the_commands_are_found() -> None:
    assert len(COMMANDS) >= 4


def test_the_readme_is_read_in_minutes() -> None:
    assert len(README.encode()) <= 9_000
    for page in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", README):
        assert (ROOT / page).exists(), f"README.md leads to {page}, which is not there"
