"""Resume the random numbers too."""

from typing import Any

import lightning as L
import torch


class RandomState(L.Callback):
    """Makes dropout, masking and randomised positions go on as if the run had not stopped.

    Each training batch begins with torch's random state as the batch before it left it, and so does
    an evaluation: what comes in between, such as a validation or the making of a data loader, draws
    numbers that a resumed run draws at other places. A checkpoint holds the state after the last
    batch; Lightning restores everything else.

    A checkpoint holds rank 0's state; the other ranks derive theirs from it.
    """

    def __init__(self) -> None:
        self._state: dict[str, Any] | None = None
        self._restored = False

    def state_dict(self) -> dict[str, Any]:
        return _now() if self._state is None else self._state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._state = state_dict
        self._restored = True

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._go_on(trainer)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._state = _now()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._go_on(trainer)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._go_on(trainer)

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._go_on(trainer)

    def _go_on(self, trainer: L.Trainer) -> None:
        if self._state is None:
            return
        torch.set_rng_state(self._state["cpu"].cpu())
        if len(self._state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([state.cpu() for state in self._state["cuda"]])
        if self._restored and trainer.global_rank > 0:
            torch.manual_seed(int(torch.randint(2**62, ())) + trainer.global_rank)
            self._state = _now()
        self._restored = False


def _now() -> dict[str, Any]:
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}
