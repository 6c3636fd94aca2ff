"""A user's own module, data, batches and callbacks, beside ours (B20, B22, B19)."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateFinder
from torch.optim.lr_scheduler import ConstantLR
from torch.utils.data import DataLoader, TensorDataset

from lightning_posenc.callbacks import AttentionStatistics
from lightning_posenc.callbacks.probing import look
from lightning_posenc.cli import main
from lightning_posenc.data import Batch, SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import LearnedAbsolute
from lightning_posenc.tasks import PositionPattern
from lightning_posenc.training.renamed_classes import replaced

ROOT = Path(__file__).parents[2]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
         "--trainer.log_every_n_steps=1"]  # fmt: skip


class Tuples(L.LightningDataModule):
    """As in Lightning's tutorial."""

    def loader(self) -> DataLoader:
        x = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x, (x.sum(1) > 0).long()), batch_size=16)

    train_dataloader = val_dataloader = test_dataloader = predict_dataloader = loader


def stacked(rows: list[Any]) -> Batch:
    return Batch(*map(torch.stack, zip(*rows, strict=True)))


class Batches(L.LightningDataModule):
    """Our batches, for a module of one's own."""

    def loader(self) -> DataLoader:
        tokens = torch.arange(32).reshape(8, 4) % 3
        rows = TensorDataset(tokens, tokens[:, 0])
        return DataLoader(rows, batch_size=4, collate_fn=stacked)

    train_dataloader = val_dataloader = test_dataloader = predict_dataloader = loader


class Bare(L.LightningModule):
    """Returns nothing where it need not."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(4, 3)

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self.net(batch[0].float()), batch[1])

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val/loss", self.training_step(batch, index), batch_size=4)

    def test_step(self, batch: Any, index: int) -> None:
        self.log("test/acc/len_4", self.training_step(batch, index), batch_size=4)

    def predict_step(self, batch: Any, index: int) -> torch.Tensor:
        return self.net(batch[0].float()).argmax(-1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.01)


@pytest.mark.parametrize("data", ["Tuples", pytest.param("Batches", marks=pytest.mark.slow)])
def test_own_parts_train_test_and_predict(
    data: str, tmp_path: Path, logged: list[logging.LogRecord]
) -> None:
    run_dir = tmp_path / "run"
    own = [f"--model={__name__}.Bare", f"--data={__name__}.{data}"]
    assert main(["fit", *own, *QUIET, "--trainer.max_epochs=1", f"--run_dir={run_dir}"]) == 0
    said = [r.getMessage() for r in logged if "stays out" in r.getMessage()]
    assert len(said) == len(set(said)) >= 1
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert "test/acc/len_4" in summary["metrics"]
    out = tmp_path / "predicted"
    more = ["--ckpt_path", str(run_dir), f"--trust={__name__}", f"--run_dir={out}"]
    assert main(["predict", *own, *QUIET, *more]) == 0
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == (32 if data == "Tuples" else 8)
    assert all(line["prediction"] in (0, 1, 2) for line in lines)


def test_what_is_measured_by_a_callback_must_be_our_batch() -> None:
    with pytest.raises(
        ValueError, match=r"batches of type lightning_posenc\.data\.Batch"
    ) as caught:
        look([AttentionStatistics()], L.Trainer(logger=False), Bare(), [torch.zeros(2, 4)], 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "config", ["decoder_task", pytest.param("shakespeare_char", marks=pytest.mark.slow)]
)
def test_shipped_configs_clip_fused_in_bf16_mixed(config: str, tmp_path: Path) -> None:
    """B22: and learn by clipped gradients."""
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be that is the question " * 200)
    data = [f"--data.path={text}"] if config == "shakespeare_char" else ["--data.eval_samples=8"]
    args = [
        "fit", f"--config={ROOT / 'configs' / config}.yaml", *data, *QUIET,
        "--trainer.precision=bf16-mixed", "--trainer.max_epochs=1", "--data.batch_size=4",
        "--data.steps_per_epoch=2",
        "--model.encoder.n_layers=1", "--model.encoder.d_model=16", "--model.encoder.n_heads=2",
        "--trainer.limit_val_batches=1", "--test_after_fit=false", f"--run_dir={tmp_path / 'run'}",
    ]  # fmt: skip
    assert main(args) == 0


def test_the_learning_rate_finder_is_heard(tmp_path: Path) -> None:
    """F: it looks for an attribute, and knows of neither groups nor schedules."""
    rates: list[dict[str, float]] = []

    class Rates(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            rates.append({g["name"]: g["lr"] for g in trainer.optimizers[0].param_groups})

    finder = LearningRateFinder(min_lr=1e-4, max_lr=1e-1, num_training_steps=20)
    module = SequenceClassifier(
        EncoderSpec(16, 2, 1), PositionPattern().vocab_size, 4, positional=LearnedAbsolute,
        schedule=ConstantLR, positional_lr_multiplier=2.0,
    )  # fmt: skip
    trainer = L.Trainer(
        accelerator="cpu", max_steps=3, default_root_dir=tmp_path, logger=False,
        callbacks=[finder, Rates()], enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, limit_val_batches=0,
        log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(module, SyntheticData(train_length=8, batch_size=4, steps_per_epoch=40))
    assert finder.optimal_lr is not None
    found = finder.optimal_lr.suggestion()
    assert found is not None
    assert trainer.global_step == 3
    expected = {"decay": found / 3, "no_decay": found / 3, "positional": found * 2 / 3}
    assert rates[-3:] == [pytest.approx(expected)] * 3  # ConstantLR: a third of it


def test_a_class_that_is_gone_is_replaced_by_the_one_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B19: and only then; arguments that the new one takes are kept."""
    (tmp_path / "mine_b19.py").write_text(
        "class B:\n    def __init__(self, dims, scale=1.0): ...\nclass C(B): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_b19", raising=False)

    def config(path: str) -> dict[str, Any]:
        entry = {"class_path": path, "init_args": {"scale": 2.0, "gone": 1}}
        return {"model": {"class_path": "M", "init_args": {"positional": entry}}}

    for path in ("mine_b19.A", "no_such_package.deep.A"):
        given = config(path)
        replaced(given, ["test", "--model.positional=mine_b19.B"])
        assert given["model"]["init_args"]["positional"] == {
            "class_path": "mine_b19.B", "init_args": {"scale": 2.0},
        }  # fmt: skip
    for args in (["--model.positional=mine_b19.B"], ["--model.positional", "RoPE"], ["--model=N"]):
        given = config("mine_b19.C")
        replaced(given, args)
        assert given == config("mine_b19.C")
