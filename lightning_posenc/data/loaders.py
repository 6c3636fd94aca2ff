"""The loaders that all our data modules share."""

import signal
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_posenc.checks import whole
from lightning_posenc.compat.lightning import batches_trained, divides_data, seed_of_run
from lightning_posenc.data.order import EvalBatches, GlobalBatches, StreamLoader, take
from lightning_posenc.data.remembered import RememberedData


class GlobalBatchData(RememberedData):
    """Loaders of one stream of global batches for training, and of fixed sets for evaluation.

    Args:
        batch_size: samples in a training batch over all ranks, at least 1, and a multiple of their
            number.
        eval_batch_size: likewise in evaluation; None for `batch_size`.
        seed: seed of the data and of its order; None for the run's own, that of `seed_everything`,
            or 0 if there is none.
        num_workers: worker processes a loader, 0 to 1024; the samples do not depend on it.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.batch_size = whole(self, "batch_size", batch_size)
        if eval_batch_size is None:
            eval_batch_size = batch_size
        self.eval_batch_size = whole(self, "eval_batch_size", eval_batch_size)
        # Where Lightning's seed_everything keeps it.
        self.seed = (seed_of_run() or 0) if seed is None else seed
        whole(self, "seed", self.seed, -(2**63), 2**64 - 1)  # of which draws take 64 bits
        self.num_workers = whole(self, "num_workers", num_workers, 0, 1024)

    def options(self) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "eval_batch_size": self.eval_batch_size,
            "seed": self.seed,
            **super().options(),
        }

    def order(self) -> dict[str, Any]:
        return {"data.batch_size": self.batch_size, **super().order()}

    def _consumed(self) -> int:
        """Global batches trained so far, also right after a checkpoint was restored."""
        if self.trainer is None or self.trainer.overfit_batches:  # type: ignore[attr-defined]
            return 0  # overfitting means the same batches in each epoch
        return batches_trained(self.trainer)

    def _rank_and_world_size(self) -> tuple[int, int]:
        """Number of this rank and of all ranks among those that see different data."""
        if self.trainer is None:
            return 0, 1
        kwargs = self.trainer.distributed_sampler_kwargs or {"rank": 0, "num_replicas": 1}
        rank, world_size = kwargs["rank"], kwargs["num_replicas"]
        if world_size > 1 and divides_data(self.trainer):
            raise ValueError(
                "the data is already divided among the ranks: "
                "set trainer.use_distributed_sampler=false"
            )
        return rank, world_size

    def _options(self, dataset: Dataset) -> dict[str, Any]:
        on_cuda = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return {
            "dataset": dataset,
            "collate_fn": take,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "worker_init_fn": _leave_ctrl_c_to_the_run,
            "pin_memory": on_cuda and torch.cuda.is_available(),
        }

    def _train_loader(
        self, dataset: Dataset, n_batches: int, order: Callable[[Tensor], Tensor]
    ) -> DataLoader:
        rank, world_size = self._rank_and_world_size()
        batches = GlobalBatches(self.batch_size, n_batches, rank, world_size, self._consumed, order)
        return StreamLoader(batch_sampler=batches, **self._options(dataset))

    def _eval_loader(self, dataset: Dataset, n_items: int) -> DataLoader:
        batches = EvalBatches(n_items, self.eval_batch_size, *self._rank_and_world_size())
        return DataLoader(batch_sampler=batches, **self._options(dataset))

    def _predict_loader(self, dataset: Dataset, n_items: int) -> DataLoader:
        # Lightning rebuilds prediction loaders around a plain sampler, to keep track of indices.
        rank, world_size = self._rank_and_world_size()
        # Ranks with a sharded model must call it equally often: the last item fills the shares.
        items = range(rank, -(-n_items // world_size) * world_size, world_size)
        return DataLoader(
            sampler=[min(item, n_items - 1) for item in items],
            batch_size=max(1, self.eval_batch_size // world_size),
            **self._options(dataset),
        )


def _leave_ctrl_c_to_the_run(worker: int) -> None:
    """A terminal tells every process: workers that ended would fail the run while it saves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
