"""Right answers are counted by position, however wide the batches of a test are."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_posenc.callbacks.results import accuracy_by_position
from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import TokenClassifier
from lightning_posenc.tasks import IGNORE


class Told(TokenClassifier):
    """Says class 1 everywhere."""

    def logits(self, batch: Batch) -> Tensor:
        return torch.tensor([0.0, 1.0]).expand(*batch.tokens.shape, 2)


class Texts(L.LightningDataModule):
    """Two test batches, each as wide as its longest text."""

    eval_lengths = (5,)

    def test_dataloader(self) -> DataLoader[Batch]:
        narrow = torch.tensor([[1, 0, IGNORE]])
        wide = torch.tensor([[1, 1, 1, 0]])
        batches: Any = [Batch(torch.zeros_like(each), each) for each in (narrow, wide)]
        return DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch)


def test_batches_of_all_widths_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(accuracy_by_position, "_draw", lambda *given: drawn.append(given))
    trainer = L.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_progress_bar=False,
        callbacks=[accuracy_by_position.AccuracyByPosition()],
    )  # fmt: skip
    trainer.test(Told(EncoderSpec(8, 1, 1), 2, 2), datamodule=Texts(), verbose=False)
    ((_, overall, by_position, _),) = drawn
    assert overall == {5: 4 / 6}
    assert by_position[5].tolist() == [1.0, 0.5, 1.0, 0.0]
