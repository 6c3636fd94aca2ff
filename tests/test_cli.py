"""The command line, as a person uses it."""

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.optim import Adam

from lightning_posenc.cli import main
from lightning_posenc.model import SwiGLU

ROOT = Path(__file__).parents[1]
QUICKSTART = str(ROOT / "configs" / "quickstart.yaml")
TINY = [
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 2}",
    "--data.steps_per_epoch=6",
    "--data.eval_samples=32",
    "--data.batch_size=8",
    "--trainer.max_epochs=2",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]


def fit(run_dir: Path, *more: str) -> int:
    return main(["fit", "--config", QUICKSTART, *TINY, f"--run_dir={run_dir}", *more])


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


@pytest.mark.parametrize("command", ["fit", "test"])
def test_help_says_how_a_command_is_called(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert not stop.value.code
    assert capsys.readouterr().out.startswith(f"usage: python -m lightning_posenc {command} [")


def test_help_is_instant_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from lightning_posenc.cli import main; status = main(['--help']);"
        "sys.exit(status or any(m in sys.modules for m in ('torch', 'lightning', 'datasets')))"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "fit" in done.stdout
    assert time.monotonic() - start < 5  # a second on a quiet machine; the imports take longer


def test_a_run_keeps_everything_in_its_directory(tmp_path: Path) -> None:
    assert fit(tmp_path / "run") == 0
    found = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*.*")}
    assert found == {
        "config.yaml",
        "summary.json",
        "metrics.csv",
        "run.html",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "figures/accuracy.png",
        "figures/accuracy.json",
        "figures/attention.png",
        "figures/attention.json",
    }
    report = summary(tmp_path / "run")
    assert report["status"] == "finished"
    assert report["seed"] == 0
    assert report["steps"] == 12
    assert {"test/acc/len_32", "test/loss/len_32", "val/acc", "train/loss"} <= set(
        report["metrics"]
    )
    attention = json.loads((tmp_path / "run/figures/attention.json").read_text())
    assert len(attention["layer_01"]) == 2  # heads
    assert sum(attention["layer_01"][0][0]) == pytest.approx(1, abs=1e-3)
    steps = (tmp_path / "run/metrics.csv").read_text().splitlines()
    assert len(steps) >= 12


def test_without_checkpoints(tmp_path: Path) -> None:
    assert fit(tmp_path / "run", "--trainer.enable_checkpointing=false") == 0
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.slow
def test_a_directory_is_never_used_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fit(tmp_path / "run", "--trainer.max_epochs=1") == 0
    before = (tmp_path / "run" / "config.yaml").read_text()
    assert fit(tmp_path / "run", "--trainer.max_epochs=1") == 2
    assert "already holds a run" in capsys.readouterr().err
    assert (tmp_path / "run" / "config.yaml").read_text() == before
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["fit", "--config", QUICKSTART, *TINY, "--trainer.max_epochs=1"]) == 0
    assert len(list((tmp_path / "runs" / "quickstart").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.positional=RoPEE"], "model.positional=RoPEE: no such class: did you mean RoPE?"),
        (
            ["--model.positional=RandomizedDistances"],
            "model.positional=RandomizedDistances: it is a sampler now: train again with "
            "model.positions=RandomDistances",
        ),
        (["--data.task=Revers"], "data.task=Revers: no such class: did you mean Reverse?"),
        (["--model.positional=nowhere.MyBias"], "No module named 'nowhere'"),
        (
            ["--model.positional=RoPE", "--model.encoder.d_model=6"],
            "RoPE: turns pairs of channels, so the head size must be even",
        ),
        (
            ["--model.positional=LearnedAbsolute", "--model.positional.max_length=8"],
            "LearnedAbsolute: the table has max_length=8 rows, but a position 31 was asked for",
        ),
        (
            ["--model=LanguageModel", "--data=TextData", "--data.path=nowhere.txt"],
            "data.path=nowhere.txt does not exist: give an existing file",
        ),
        (["--model=LanguageModel", "--trainer.max_epoch=3"], "unknown option trainer.max_epoch"),
        (["--model.encoder.depth=3"], "unknown option model.encoder.depth"),
        (
            ["--model.positional=RoPE", "--model.positional.bas=3"],
            "unknown option model.positional.bas",
        ),
        (["--data.batch_size=many"], "data.batch_size=many: must be a whole number"),
        (["--data.task=Copy", "--data.train_length=1"], "Copy cannot make sequences of length 1"),
        (["--config=nowhere.yaml"], "nowhere.yaml: the file does not exist: check the path"),
        (["--ckpt_path=nowhere.ckpt"], "--ckpt_path nowhere.ckpt: no such file"),
        (["--data=TextData"], "the data has no classes"),
    ],
)
def test_a_mistake_ends_in_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path / "run", *arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


def test_an_unknown_key_of_a_config_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load(Path(QUICKSTART).read_text())
    config["model"]["init_args"]["encoder"]["depth"] = 3
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", str(tmp_path / "bad.yaml")]) == 2
    assert "unknown option model.encoder.depth: see" in capsys.readouterr().err
    assert main(["fti"]) == 2
    assert "did you mean fit?" in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_stands_for_its_run_and_explicit_arguments_beat_it(tmp_path: Path) -> None:
    assert fit(tmp_path / "run", "--model.positional=ALiBi", "--trainer.max_epochs=1") == 0
    checkpoint = f"--ckpt_path={tmp_path / 'run/checkpoints/last.ckpt'}"
    assert main(["test", checkpoint, f"--run_dir={tmp_path / 'same'}"]) == 0
    assert summary(tmp_path / "same")["metrics"] == {
        key: value
        for key, value in summary(tmp_path / "run")["metrics"].items()
        if key.startswith("test/")
    }
    # The file says LearnedAbsolute, the checkpoint ALiBi: the checkpoint knows its own weights.
    with_file = ["test", "--config", QUICKSTART, checkpoint, *TINY[1:4]]
    assert main([*with_file, f"--run_dir={tmp_path / 'file'}"]) == 0
    explicit = ["--model.positional.form=symmetric", "--data.eval_lengths=[16, 48]"]
    assert main(["test", checkpoint, *explicit, f"--run_dir={tmp_path / 'other'}"]) == 0
    config = yaml.safe_load((tmp_path / "other" / "config.yaml").read_text())
    positional = config["model"]["init_args"]["positional"]
    assert positional["class_path"].endswith("ALiBi")
    assert positional["init_args"]["form"] == "symmetric"
    assert {"test/acc/len_16", "test/acc/len_48"} <= set(summary(tmp_path / "other")["metrics"])


@pytest.mark.parametrize(
    ("option", "kind"),
    [("optimizer", Adam), ("encoder.norm", nn.RMSNorm), ("encoder.feed_forward", SwiGLU)],
)
def test_a_class_named_in_a_config_has_its_own_defaults(
    option: str, kind: type, capsys: pytest.CaptureFixture[str]
) -> None:
    """AdamW's weight decay once came along as Adam's, and kept models from learning."""
    path = f"{kind.__module__}.{kind.__qualname__}"
    named = ["--model=TokenClassifier", "--data=SyntheticData", "--data.task=ReverseString"]
    with pytest.raises(SystemExit):
        main(["fit", *named, f"--model.{option}={path}", "--print_config"])
    found = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
    for key in option.split("."):
        found = found[key]
    own = inspect.signature(kind).parameters
    for name, value in found["init_args"].items():
        default = own[name].default
        assert value == (list(default) if isinstance(default, tuple) else default), name


def test_predict_writes_a_line_per_sequence(tmp_path: Path) -> None:
    assert fit(tmp_path / "run", "--trainer.max_epochs=1") == 0
    checkpoint = f"--ckpt_path={tmp_path / 'run/checkpoints/last.ckpt'}"
    assert main(["predict", checkpoint, f"--run_dir={tmp_path / 'out'}"]) == 0
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == 32
    first = json.loads(lines[0])
    assert len(first["tokens"]) == 32
    assert first["prediction"] in range(4)


KILLER = """
import os, signal
import lightning as L

class Killed(L.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 9:
            os.kill(os.getpid(), signal.SIGKILL)
"""

RANDOM_EVERYTHING = [
    "--model.encoder.dropout=0.1",
    "--model.positional=RoPE",
    "--model.positions=Randomized",
    "--trainer.callbacks=ModelCheckpoint",
    "--trainer.callbacks.every_n_train_steps=4",
    "--trainer.callbacks.save_last=true",
]


@pytest.mark.slow
def test_killed_in_the_middle_and_resumed_is_as_if_nothing_happened(tmp_path: Path) -> None:
    assert fit(tmp_path / "whole", *RANDOM_EVERYTHING) == 0
    (tmp_path / "killer.py").write_text(KILLER)
    command = [sys.executable, "-m", "lightning_posenc", "fit", "--config", QUICKSTART, *TINY]
    command += [*RANDOM_EVERYTHING, "--trainer.callbacks+=killer.Killed"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([*command, f"--run_dir={tmp_path / 'killed'}"], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert summary(tmp_path / "killed")["status"] == "running"
    checkpoint = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 8  # epoch 1, batch 2 of 6

    resumed = ["fit", "--config", QUICKSTART, *TINY, *RANDOM_EVERYTHING]
    assert main([*resumed, f"--ckpt_path={checkpoint}"]) == 0
    assert summary(tmp_path / "killed")["status"] == "finished"  # it went on in its own directory
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


MY_MODULE = """
from lightning_posenc.positional import RelativeBias

class MyBias(RelativeBias):
    def __init__(self, dims, slope: float = 0.1):
        super().__init__(dims)
        self.slope = slope

    def bias_at(self, delta):
        return -self.slope * delta.abs().expand(self.dims.n_heads, *delta.shape)
"""


def test_an_encoding_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside.py").write_text(MY_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    own = ["--model.positional=outside.MyBias", "--model.positional.slope=0.2"]
    assert fit(tmp_path / "run", *own, "--trainer.max_epochs=1") == 0
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["model"]["init_args"]["positional"]["init_args"] == {"slope": 0.2}
