"""Resume the random numbers too."""

from typing import Any

import lightning as L
import torch


class RandomState(L.Callback):
    """Keeps torch's random state in the checkpoint, so that dropout, masking and randomised
    positions go on as if the run had not stopped. Lightning restores everything else.

    A checkpoint holds rank 0's state; the other ranks derive theirs from it.
    """

    def __init__(self) -> None:
        self._restored: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Not earlier: the validation that precedes training, and the making of data loaders,
        # draw numbers that an uninterrupted run would not have drawn here.
        if self._restored is None:
            return
        torch.set_rng_state(self._restored["cpu"].cpu())
        if len(self._restored["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([state.cpu() for state in self._restored["cuda"]])
        if trainer.global_rank > 0:
            torch.manual_seed(int(torch.randint(2**62, ())) + trainer.global_rank)
        self._restored = None
