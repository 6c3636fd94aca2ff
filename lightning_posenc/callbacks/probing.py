"""Look into a model every now and then while it trains, and change nothing by it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from lightning_posenc.callbacks.gathering import gathered
from lightning_posenc.callbacks.history import History
from lightning_posenc.checks import MOST_STEPS, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.modules.generators import random_state, set_random_state

Measured = Mapping[str, float | Tensor]


class Probing(L.Callback, ABC):
    """Measures a few sequences of the current batch, before the first and after every n-th
    optimizer step, logs the numbers and draws them when training ends.

    The run goes on bit by bit as it would without: the model is put in evaluation mode,
    uncompiled, without checkpointed activations, in the trainer's precision; modes and random
    numbers are then put back, and no `.grad` is touched. Steps in between cost one comparison.
    Every rank measures the same sequences, the first of the global batch: the numbers are those of
    one process, on any number of ranks. The means over ranks are logged, which differ from them
    only where the model draws numbers of its own on each rank.

    Args:
        every_n_steps: Optimizer steps from one measurement to the next, at least 1.
        n_sequences: Sequences measured, at least 1; fewer if a batch has fewer.

    Raises:
        ValueError: If a number is out of range, or the model is not one of this package's.
    """

    def __init__(self, every_n_steps: int = 100, n_sequences: int = 8) -> None:
        self.every_n_steps = whole(self, "every_n_steps", every_n_steps, most=MOST_STEPS)
        self.n_sequences = whole(self, "n_sequences", n_sequences)
        self.history = History()

    @abstractmethod
    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        """Numbers by metric key; the same keys on every rank and at every step.

        Args:
            module: The unwrapped LightningModule, in evaluation mode; gradients are off.
            batch: The sequences to measure.
            batch_idx: Index of the batch that they are from.
        """

    @abstractmethod
    def draw(self, trainer: L.Trainer) -> None:
        """Draw the history by `log_figure`; called when training ends, if anything was measured."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if not hasattr(pl_module, "score") or not hasattr(pl_module, "encoder"):
            raise ValueError(
                f"{type(self).__name__}: {type(pl_module).__name__} has no encoder and no "
                "score(batch, batch_idx), which are what is measured: derive it from EncoderModule"
            )

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == 0 and not self.history.steps:
            self.look(trainer, pl_module, batch, batch_idx)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step
        # With accumulated gradients, several batches end at the same step.
        if step % self.every_n_steps == 0 and step > self.history.last_step:
            self.look(trainer, pl_module, batch, batch_idx)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.history.steps:
            self.draw(trainer)

    def state_dict(self) -> dict[str, Any]:
        return self.history.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history.load_state_dict(state_dict)

    def look(self, trainer: L.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        """Measure, log and remember."""
        if not isinstance(batch, Batch):
            raise ValueError(
                f"{type(self).__name__} measures batches of type lightning_posenc.data.Batch, and "
                f"got {type(batch).__name__}: let the data give those, or leave the callback out"
            )
        n_ranks = trainer.world_size
        batch = first(batch, -(-self.n_sequences // n_ranks))
        if n_ranks > 1:
            batch = first(gathered(batch, n_ranks), self.n_sequences)
        with isolated(trainer, module), torch.no_grad():
            measured = self.measure(module, batch, batch_idx)
        if not measured:
            return
        values = torch.stack(
            [torch.as_tensor(v, device=module.device).float().detach() for v in measured.values()]
        )
        values = trainer.strategy.reduce(values, reduce_op="mean")
        numbers = dict(zip(measured, values.tolist(), strict=True))
        self.history.add(trainer.global_step, numbers)
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=trainer.global_step)


@contextmanager
def isolated(trainer: L.Trainer, module: L.LightningModule) -> Iterator[None]:
    """Evaluation mode, no compilation and the trainer's precision inside; modes and random numbers
    afterwards as before.
    """
    modes = [(part, part.training) for part in module.modules()]
    state = random_state(module)
    module.eval()
    try:
        with (
            torch.compiler.set_stance("force_eager"),
            trainer.precision_plugin.forward_context(),
        ):
            yield
    finally:
        set_random_state(module, state)
        for part, mode in modes:
            part.training = mode


def first(batch: Any, n: int) -> Any:
    """The first n sequences of a batch: of each tensor in it, as far as it has so many rows."""
    return tree_map(lambda x: x[:n] if isinstance(x, Tensor) and x.dim() else x, batch)
