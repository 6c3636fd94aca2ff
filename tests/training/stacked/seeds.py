"""Modules and data of several seeds, and what each of them becomes by itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import TokenClassifier
from lightning_posenc.modules.trained import TrainedModule
from lightning_posenc.training.stacked.data import StackedData
from lightning_posenc.training.stacked.module import StackedModule

VOCABULARY, CLASSES, ROWS = 8, 4, 3
Weights = dict[str, Tensor]


class SeededBatches(L.LightningDataModule):
    """Batches of random tokens and targets, drawn from a seed."""

    def __init__(self, seed: int, positions: Tensor | None = None, length: int = 6, n: int = 2):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        if positions is not None:
            length = positions.shape[1]
            positions = positions.expand(ROWS, *positions.shape[1:])
        self.batches = [
            Batch(
                torch.randint(VOCABULARY, (ROWS, length), generator=draw),
                torch.randint(CLASSES, (ROWS, length), generator=draw),
                positions=positions,
            )
            for _ in range(n)
        ]

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.batches, batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader:
        return self.train_dataloader()


def seeded(seed: int, make: Callable[..., TrainedModule] = TokenClassifier, **options: Any) -> Any:
    """A small module as its seed makes it."""
    torch.manual_seed(seed)
    spec = EncoderSpec(d_model=32, n_heads=4, n_layers=2)
    return make(options.pop("encoder", spec), VOCABULARY, CLASSES, **options)


def trainer(directory: Path, **options: Any) -> L.Trainer:
    """A trainer of two steps that writes nothing."""
    return L.Trainer(
        **{
            "max_epochs": 1, "default_root_dir": directory, "logger": False, "accelerator": "cpu",
            "enable_checkpointing": False, "enable_model_summary": False,
            "enable_progress_bar": False, "use_distributed_sampler": False,
            "limit_val_batches": 0, **options,
        }
    )  # fmt: skip


def together(
    directory: Path, modules: Sequence[Any], data: Sequence[L.LightningDataModule], **options: Any
) -> tuple[StackedModule, L.Trainer]:
    """Train modules as one."""
    module, chosen = StackedModule(modules), trainer(directory, **options)
    chosen.fit(module, datamodule=StackedData(data))
    return module, chosen


def alone(directory: Path, module: Any, data: L.LightningDataModule, **options: Any) -> L.Trainer:
    """Train a module by itself."""
    chosen = trainer(directory, **options)
    chosen.fit(module, datamodule=data)
    return chosen


def weights(module: torch.nn.Module) -> Weights:
    return {name: value.detach() for name, value in module.state_dict().items()}


def assert_same(found: Weights, expected: Weights, tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance, msg=name)
