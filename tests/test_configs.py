"""Every shipped config runs."""

from importlib import import_module
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser, Namespace

from lightning_posenc.cli import main
from lightning_posenc.training import checkpoint_config, command_line

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))

# The file that a config's user gives.
FILES = {
    "shakespeare_char": ("text.txt", "to be, or not to be: that is the question\n" * 200),
    "text_classification": ("texts.csv", "text,label\n" + "good film,1\nbad film,0\n" * 40),
    "tagging": ("train.conll", "The DET\nfilm NOUN\nends VERB\n\n" * 40),
}
DEFAULT = {"quickstart", "text_offline", "extend_lora"}  # a task, a text, a model; others are slow
MODELS = {"extend_lora"}  # configs of a model of Hugging Face


def made_by_its_command(root: Path) -> Path:
    """The folder that the config's first lines say how to make."""
    pytest.importorskip("peft")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        make = import_module("tiny_llama").make
    folder = root / "tiny_llama"
    make(folder, steps=0)
    return folder


@pytest.mark.parametrize(
    "config",
    [pytest.param(path, marks=[pytest.mark.slow] * (path.stem not in DEFAULT)) for path in CONFIGS],
    ids=lambda path: path.stem,
)
def test_survives_a_fast_run(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def dumped(parser: ArgumentParser, given: Namespace) -> str:
        text = checkpoint_config.dumped(parser, given)
        written.append(text)
        # Without the second check that jsonargparse would make, which takes twice as long.
        ours, whole = map(yaml.safe_load, (text, parser.dump(given, skip_unset=False)))
        assert ours.keys() >= {"model", "data", "trainer", "seed_everything"}
        assert ours == {key: whole[key] for key in ours}
        return text

    monkeypatch.setattr(command_line, "dumped", dumped)
    arguments = ["fit", "--config", str(config), "--trainer.fast_dev_run=1"]
    if config.stem in MODELS:
        folder = made_by_its_command(tmp_path)
        arguments += [f"--model.path={folder}", f"--data.vocabulary={folder}"]
    if config.stem in FILES:
        name, text = FILES[config.stem]
        (tmp_path / name).write_text(text)
        arguments.append(f"--data.path={tmp_path / name}")
    assert main([*arguments, f"--run_dir={tmp_path / 'run'}"]) == 0
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert len(written) == 1  # it takes time


def test_there_are_configs() -> None:
    assert {path.stem for path in CONFIGS} >= {"quickstart", "text_offline", *FILES}


@pytest.mark.parametrize("stem", FILES)
def test_without_its_file_it_says_so(stem: str, capsys: pytest.CaptureFixture[str]) -> None:
    (config,) = (path for path in CONFIGS if path.stem == stem)
    assert main(["fit", "--config", str(config), "--trainer.fast_dev_run=1"]) == 2
    error = capsys.readouterr().err
    assert "data.path" in error
    assert len(error.splitlines()) == 1
