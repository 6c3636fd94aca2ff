"""Trains and tests on two processes; each writes down what it saw: `ddp_script.py FOLDER`."""

import json
import sys
from pathlib import Path

import lightning as L
import torch

from lightning_posenc.data import SyntheticData
from lightning_posenc.tasks import Reverse


class Watcher(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.train_tokens, self.test_tokens = [], []

    def training_step(self, batch, batch_idx):
        self.train_tokens.append(batch.tokens.tolist())
        return self.weight.sum()

    def test_step(self, batch, batch_idx):
        self.test_tokens.append(batch.tokens.tolist())
        # Reduces over ranks: hangs if they differ in their number of batches.
        mean = batch.tokens.float().mean()
        self.log("mean", mean, sync_dist=True, on_step=True, batch_size=len(batch.tokens))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trainer = L.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )
    model = Watcher()
    data = SyntheticData(
        Reverse(), [5, 8], batch_size=6, steps_per_epoch=3, eval_samples=13, eval_batch_size=4
    )
    trainer.fit(model, datamodule=data)
    (metrics,) = trainer.test(model, datamodule=data, verbose=False)
    seen = {"train": model.train_tokens, "test": model.test_tokens, "mean": metrics["mean_epoch"]}
    (folder / f"{trainer.global_rank}.json").write_text(json.dumps(seen))
