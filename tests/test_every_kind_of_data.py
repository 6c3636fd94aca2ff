"""Pairs and images: stopped and started again, and on two processes; frames: test_tones.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_posenc.cli import main
from tests.test_resume import STOPPER, assert_same, stop

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).parents[1] / "configs"
COMMON = [
    "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
]  # fmt: skip
SMALL = {
    "translate_offline": [
        "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1, dropout: 0.1}",
        "--data.steps_per_epoch=4", "--data.batch_size=8", "--data.eval_samples=16",
        "--data.eval_lengths=[8, 12]",
    ],
    "digits_vit": [
        "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1, dropout: 0.1}",
        "--data.batch_size=8", "--data.steps_per_epoch=4", "--trainer.limit_val_batches=4",
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stopper.py").write_text(STOPPER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stopper", raising=False)


def command(name: str, run: Path, *more: str) -> list[str]:
    config = f"--config={CONFIGS / name}.yaml"
    return ["fit", config, *COMMON, *SMALL[name], f"--run_dir={run}", *more]


@pytest.mark.parametrize("name", SMALL)
def test_stopped_and_started_again(name: str, tmp_path: Path) -> None:
    keep = [
        "--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.filename=last",
        "--trainer.callbacks.every_n_train_steps=1",
        "--trainer.callbacks.enable_version_counter=false", "--ckpt_path=last",
    ]  # fmt: skip
    assert main(command(name, tmp_path / "whole", *keep)) == 0
    with pytest.raises(InterruptedError, match="stopped here"):
        main(
            command(name, tmp_path / "run", *keep[:-1], *stop("on_train_batch_start", 3), keep[-1])
        )
    assert main(command(name, tmp_path / "run", *keep)) == 0
    assert_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_two_processes_learn_what_one_does(name: str, tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    found = {}
    plain = ["--model.encoder.dropout=0", "--test_after_fit=false"]
    for devices, more in (1, []), (2, ["--trainer.devices=2", "--trainer.strategy=ddp"]):
        run = tmp_path / str(devices)
        words = [sys.executable, "-m", "lightning_posenc", *command(name, run, *plain, *more)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        found[devices] = json.loads((run / "summary.json").read_text())["metrics"]["val/loss"]
    assert found[2] == pytest.approx(found[1], rel=1e-4)
