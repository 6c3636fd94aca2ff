"""Resume the random numbers too."""

from typing import Any

import lightning as L
from torch import distributed

from lightning_posenc.modules.generators import (
    Generators,
    State,
    generators_of,
    random_state,
    set_random_state,
)


class RandomState(L.Callback):
    """Makes dropout, masking and randomised positions go on as if the run had not stopped.

    Each training batch begins with the random state as the batch before it left it, and so does an
    evaluation: what comes in between, such as a validation or the making of a data loader, draws
    numbers that a resumed run draws at other places. That is torch's state and that of every
    generator that a module of the model has (`Randomized(seed=…)`). A checkpoint holds the state
    after the last batch; Lightning restores everything else.

    All ranks begin a run with the same random numbers, so that what is drawn once for a batch, such
    as positions, is the same over all of it. They part where their batches have other shapes; a
    checkpoint holds the state of each. A run that goes on with more ranks gives the new ones the
    state of rank 0, with which they would have begun.
    """

    def __init__(self) -> None:
        self._module: L.LightningModule | None = None
        self._generators: Generators | None = None  # looked for once, and not in every step
        self._state: State | None = None  # of this rank
        self._loaded: list[State] | None = None  # of all ranks, from a checkpoint

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._module = pl_module

    def state_dict(self) -> dict[str, Any]:
        state = self._state
        if state is None and self._module is not None:
            state = random_state(self._module)
        if not distributed.is_available() or not distributed.is_initialized():
            return {"ranks": [state]}
        states: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(states, state)
        return {"ranks": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict.get("ranks")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._generators = generators_of(pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._generators = None

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
        self._state = random_state(pl_module, self._generators)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._go_on(trainer, pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._go_on(trainer, pl_module)

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._go_on(trainer, pl_module)

    def take_up(self, rank: int, module: L.LightningModule) -> None:
        """Go on from what a checkpoint holds, if one has been loaded.

        Raises:
            Exception: Of any kind, if that is no random state.
        """
        if self._loaded:
            state = self._loaded[rank if rank < len(self._loaded) else 0]
            if state is not None:
                set_random_state(module, state, self._generators)
            self._state, self._loaded = state, None

    def _go_on(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.take_up(trainer.global_rank, module)
        if self._state is not None:
            set_random_state(module, self._state, self._generators)
