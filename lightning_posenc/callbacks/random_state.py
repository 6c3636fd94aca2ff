"""Resume the random numbers too."""

from typing import Any

import lightning as L
import torch
from torch import distributed


class RandomState(L.Callback):
    """Makes dropout, masking and randomised positions go on as if the run had not stopped.

    Each training batch begins with torch's random state as the batch before it left it, and so does
    an evaluation: what comes in between, such as a validation or the making of a data loader, draws
    numbers that a resumed run draws at other places. A checkpoint holds the state after the last
    batch; Lightning restores everything else.

    All ranks begin a run with the same random numbers, so that what is drawn once for a batch, such
    as positions, is the same over all of it. They part where their batches have other shapes; a
    checkpoint holds the state of each. A run that goes on with more ranks gives the new ones the
    state of rank 0, with which they would have begun.
    """

    def __init__(self) -> None:
        self._state: dict[str, Any] | None = None  # of this rank
        self._loaded: list[dict[str, Any]] | None = None  # of all ranks, from a checkpoint

    def state_dict(self) -> dict[str, Any]:
        state = _now() if self._state is None else self._state
        if not distributed.is_available() or not distributed.is_initialized():
            return {"ranks": [state]}
        states: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(states, state)
        return {"ranks": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict.get("ranks")

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._go_on(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._state = _now(pl_module.device)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._go_on(trainer, pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._go_on(trainer, pl_module)

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._go_on(trainer, pl_module)

    def _go_on(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._loaded:
            rank = trainer.global_rank
            self._state = self._loaded[rank if rank < len(self._loaded) else 0]
            self._loaded = None
        if self._state is None:
            return
        torch.set_rng_state(self._state["cpu"].cpu())
        device = self._state["device"]
        if device is not None and module.device.type == "cuda":
            torch.cuda.set_rng_state(device.cpu(), module.device)


def _now(device: torch.device | None = None) -> dict[str, Any]:
    """Torch's random state, and that of this rank's GPU."""
    on_gpu = device is not None and device.type == "cuda"
    of_device = torch.cuda.get_rng_state(device) if on_gpu else None  # type: ignore[arg-type]
    return {"cpu": torch.get_rng_state(), "device": of_device}
