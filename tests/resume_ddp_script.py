"""Trains the rest of a run on two processes: `resume_ddp_script.py FOLDER`."""

import json
import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_posenc.callbacks import RandomState
from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.runs.checkpoint_files import WholeCheckpointIO
from lightning_posenc.tasks import PositionPattern


class Losses(L.Callback):
    """The loss of each global batch, the mean over ranks."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = trainer.strategy.reduce(outputs["loss"].detach(), reduce_op="mean")
        self.losses.append(float(loss))


def losses(folder: Path, ckpt_path: Path | None = None, **options: Any) -> list[float]:
    """Train a small model on batches of 8 for two epochs of 5; keep a checkpoint after step 3.

    Returns:
        The loss of each step made.
    """
    torch.manual_seed(0)
    watcher = Losses()
    keep = ModelCheckpoint(folder, "{step}", every_n_train_steps=3, save_top_k=-1)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
        callbacks=[watcher, RandomState(), keep],
        plugins=[WholeCheckpointIO()],
        **options,
    )
    data = SyntheticData(PositionPattern(), 8, batch_size=8, steps_per_epoch=5, eval_samples=8)
    spec = EncoderSpec(d_model=16, n_heads=2, n_layers=2)
    model = SequenceClassifier(spec, data.vocab_size, data.n_classes)
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path, weights_only=False)
    return watcher.losses


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    found = losses(folder, folder / "step=3.ckpt", devices=2, strategy="ddp")
    (folder / "losses.json").write_text(json.dumps(found))
