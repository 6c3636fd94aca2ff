"""A checkpoint to spoil, and a mark that code leaves which should not have run."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_posenc.cli import main

ROOT = Path(__file__).parents[2]
QUICKSTART = str(ROOT / "configs" / "quickstart.yaml")
KEY = "lightning_posenc_config"
TINY = [
    "--model.encoder={d_model: 8, n_heads: 2, n_layers: 1}",
    "--data.steps_per_epoch=2",
    "--data.eval_samples=8",
    "--data.batch_size=8",
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]
Change = Callable[[dict[str, Any]], None]


class Marks:
    """A file that a payload touches.

    Args:
        path: The file, which is not there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def command(self) -> str:
        """For a shell."""
        return f"touch {self.path}"

    @property
    def spec(self) -> dict[str, Any]:
        """For a config: a class path that is no class."""
        return {"class_path": "os.system", "init_args": {"command": self.command}}

    @property
    def pickled(self) -> Any:
        """Leaves the mark where it is unpickled."""
        return _Pickled(self.command)

    def none(self) -> bool:
        """Whether nothing has run."""
        return not self.path.exists()


class _Pickled:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.fixture
def mark(tmp_path: Path) -> Marks:
    return Marks(tmp_path / "mark")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test writes stays in its own folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The contents of a checkpoint that fit has made."""
    run = tmp_path_factory.mktemp("strangers") / "run"
    assert main(["fit", "--config", QUICKSTART, *TINY, f"--run_dir={run}"]) == 0
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def spoiled(whole: dict[str, Any], path: Path, change: Change) -> Path:
    """Write a checkpoint whose config, a mapping, has been changed."""
    config = yaml.safe_load(whole[KEY])
    change(config)
    return written({**whole, KEY: yaml.safe_dump(config)}, path)


def written(contents: Any, path: Path) -> Path:
    """Write a checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(contents, path)
    return path


def other(whole: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A copy of a checkpoint's contents with other parts."""
    return {**copy.deepcopy(whole), **parts}


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, lines
    return lines[0]
