"""Every shipped config runs."""

from pathlib import Path

import pytest

from lightning_posenc.cli import main

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_survives_a_fast_run(config: Path, tmp_path: Path) -> None:
    arguments = ["fit", "--config", str(config), "--trainer.fast_dev_run=1"]
    if config.stem == "shakespeare_char":  # its text is an argument
        (tmp_path / "text.txt").write_text("to be, or not to be: that is the question\n" * 200)
        arguments.append(f"--data.path={tmp_path / 'text.txt'}")
    assert main([*arguments, f"--run_dir={tmp_path / 'run'}"]) == 0
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_there_are_configs() -> None:
    assert {path.stem for path in CONFIGS} >= {"quickstart", "text_offline", "shakespeare_char"}
