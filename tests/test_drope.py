"""DroPE from the command line: short with a table, longer without, in one run and in pieces."""

from pathlib import Path

import pytest
import torch

from lightning_posenc.cli import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
OPTIONS = [
    f"--config={ROOT / 'configs' / 'text_offline.yaml'}",
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1, dropout: 0.1}",
    "--model.positional=Droppable", "--model.positional.encoding=LearnedAbsolute",
    "--model.positional.encoding.max_length=16",
    "--trainer.callbacks+=DropPositions", "--trainer.callbacks.at_step=3",
    "--data.growth=StagedLengths", "--data.growth.stages={0: 16, 6: 64}",
    "--data.train_length=64", "--data.val_length=16", "--data.batch_size=2",
    "--data.steps_per_epoch=2", "--trainer.limit_val_batches=2", "--trainer.limit_test_batches=2",
    "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu",
    "--trainer.log_every_n_steps=1", "--model.schedule=null", "--name=drope",
    "--data.path=text.txt",
]  # fmt: skip


def fit(run: Path, epochs: int, *more: str) -> int:
    return main(["fit", *OPTIONS, f"--trainer.max_epochs={epochs}", f"--run_dir={run}", *more])


def last(run: Path) -> dict:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def test_one_command_and_its_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table ends at 16; after step 3, blocks of 64 are trained on, and 128 are tested."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("to be, or not to be: that is the question\n" * 200)
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    short = ["--data.eval_lengths=[16]", "--test_after_fit=false"]
    assert fit(whole, 4, *short) == 0
    assert fit(pieces, 1, *short) == 0
    checkpoint = pieces / "checkpoints" / "last.ckpt"
    longer = "--data.eval_lengths=[128]"
    assert main(["test", f"--ckpt_path={checkpoint}", longer]) == 2  # not dropped yet
    assert "max_length=16" in capsys.readouterr().err
    assert fit(pieces, 4, "--ckpt_path=last", longer) == 0
    states = [last(run)["state_dict"] for run in (whole, pieces)]
    assert bool(states[0]["encoder.positional.flag"])
    torch.testing.assert_close(*states, rtol=0, atol=0)
    assert main(["test", f"--ckpt_path={checkpoint}", longer]) == 0
