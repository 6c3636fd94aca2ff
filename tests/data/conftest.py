"""A module that remembers the batches it saw, and trainers that leave nothing behind."""

import datasets
import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint


class Recorder(L.LightningModule):
    """Records each batch it trains on; fails at batch number `fail_at`, counted from 0."""

    def __init__(self, fail_at=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.fail_at = fail_at
        self.seen = []
        self.evaluated = []

    def training_step(self, batch, batch_idx):
        if len(self.seen) == self.fail_at:
            raise RuntimeError("killed")
        self.seen.append(batch.tokens.tolist())
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.evaluated.append(batch.tokens.tolist())

    def test_step(self, batch, batch_idx, dataloader_idx=0):
        self.evaluated.append(batch.tokens.tolist())

    def predict_step(self, batch, batch_idx):
        return batch.tokens

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def recorder():
    return Recorder


@pytest.fixture
def trainer(tmp_path):
    """A factory of quiet trainers on one CPU; keyword arguments override its choices."""

    def make(checkpoint_every=None, **overrides):
        options = {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 2,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "limit_val_batches": 0,
            "default_root_dir": tmp_path,
            "use_distributed_sampler": False,
        } | overrides
        if checkpoint_every is not None:
            keep_all = ModelCheckpoint(
                tmp_path, "{step}", every_n_train_steps=checkpoint_every, save_top_k=-1
            )
            options |= {"callbacks": [keep_all], "enable_checkpointing": True}
        return L.Trainer(**options)

    return make


@pytest.fixture
def private_cache(tmp_path, monkeypatch):
    """The folder where `datasets` caches, for this test only."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    datasets.disable_progress_bars()
    yield cache
    datasets.enable_progress_bars()
