"""The data of several runs, side by side: every batch is a list, one batch for each."""

from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset

from lightning_posenc.training.stacked.stack import Unstackable


class StackedData(L.LightningDataModule):
    """Gives each of several runs the batches that it would have alone.

    What is asked of the data besides, its classes and lengths, the first answers for all.

    Args:
        data: The runs' data modules, which differ in their seeds.
    """

    def __init__(self, data: Sequence[L.LightningDataModule]) -> None:
        self.of_seeds = list(data)
        super().__init__()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "of_seeds":
            raise AttributeError(name)
        return getattr(self.of_seeds[0], name)

    def prepare_data(self) -> None:
        for each in self.of_seeds:
            each.prepare_data()

    def setup(self, stage: str) -> None:
        for each in self.of_seeds:
            each.trainer = self.trainer
            each.setup(stage)

    def teardown(self, stage: str) -> None:
        for each in self.of_seeds:
            each.teardown(stage)

    def train_dataloader(self) -> CombinedLoader:
        return _combined([each.train_dataloader() for each in self.of_seeds])

    def val_dataloader(self) -> CombinedLoader:
        return _combined([each.val_dataloader() for each in self.of_seeds])

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return self._each("on_before_batch_transfer", batch, dataloader_idx)

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        return self._each("transfer_batch_to_device", batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return self._each("on_after_batch_transfer", batch, dataloader_idx)

    def _each(self, hook: str, batches: Sequence[Any], *told: Any) -> list[Any]:
        hooks: list[Callable[..., Any]] = [getattr(each, hook) for each in self.of_seeds]
        return [each(batch, *told) for each, batch in zip(hooks, batches, strict=True)]


def _combined(loaders: Sequence[Any]) -> CombinedLoader:
    """A loader of lists of batches, as long as each of these.

    Raises:
        Unstackable: If there is no telling how long they are, or they are not of one length.
    """
    for each in loaders:
        if not isinstance(each, DataLoader) or isinstance(each.dataset, IterableDataset):
            raise Unstackable("the data is streamed, or comes in several sets for one purpose")
    if len({len(each) for each in loaders}) > 1:
        raise Unstackable("the data of different seeds makes different numbers of batches")
    return CombinedLoader(list(loaders), "min_size")
