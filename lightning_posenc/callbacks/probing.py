"""Look into a model every now and then while it trains, and change nothing by it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor

from lightning_posenc.callbacks.by_depth import draw_by_depth
from lightning_posenc.callbacks.gathering import gathered
from lightning_posenc.callbacks.history import History
from lightning_posenc.callbacks.module_fits import observed, token_lengths
from lightning_posenc.checks import MOST_STEPS, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.diagnostics.measures.measure import logged, measured
from lightning_posenc.diagnostics.observing.first_sequences import first_sequences
from lightning_posenc.diagnostics.observing.observe import Observation, observe
from lightning_posenc.diagnostics.quantities import Measurement
from lightning_posenc.model.kernels import Operands
from lightning_posenc.modules.generators import random_state, set_random_state

Measured = Mapping[str, float | Tensor]


# What not every model has.
_LACKING = {
    "attention": "attention weights, and no layer of the model makes any (its mixers work without "
    "a softmax over keys)",
    "planes": "planes of a rotation, and the model's encoding turns none by fixed frequencies",
    "routed": "what routers decide, and no layer of the model is a MixtureOfExperts",
}


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

    needs: ClassVar[tuple[str, ...]] = ("score",)  # of the module

    def __init__(self, every_n_steps: int = 100, n_sequences: int = 8) -> None:
        self.every_n_steps = whole(self, "every_n_steps", every_n_steps, most=MOST_STEPS)
        self.n_sequences = whole(self, "n_sequences", n_sequences)
        self.history = History()
        self._looked = -1  # step of the last measurement, that gave no numbers too

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
        lacking = [name for name in self.needs if not hasattr(pl_module, name)]
        if lacking:
            named = " and no ".join(lacking)
            raise ValueError(
                f"{type(self).__name__}: {type(pl_module).__name__} has no {named}, which is what "
                "is measured: derive it from EncoderModule, or leave this out"
            )

    def is_due(self, step: int) -> bool:
        """Whether to measure after so many steps; once, with accumulated gradients too."""
        return step % self.every_n_steps == 0 and step > max(self.history.last_step, self._looked)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == 0 and self.is_due(0):
            look(self._together(trainer), trainer, pl_module, batch, batch_idx)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self.is_due(trainer.global_step):
            look(self._together(trainer), trainer, pl_module, batch, batch_idx)

    def _together(self, trainer: L.Trainer) -> "list[Probing]":
        """Itself, and those of the trainer's others that are due now too."""
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        others = [each for each in callbacks if isinstance(each, Probing) and each is not self]
        return [self, *(each for each in others if each.is_due(trainer.global_step))]

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.history.steps:
            self.draw(trainer)

    def state_dict(self) -> dict[str, Any]:
        return self.history.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history.load_state_dict(state_dict)

    def note(self, trainer: L.Trainer, module: L.LightningModule, measured: Measured) -> None:
        """Log and remember."""
        self._looked = trainer.global_step
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


class Observing(Probing, ABC):
    """Measures what an observed forward pass shows: one pass for all that look at the same step.

    Those that look at fewer sequences than others see the first ones of the same pass.
    """

    @property
    @abstractmethod
    def measurements(self) -> Sequence[Measurement]:
        """What is measured."""

    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        with observe(observed(module)) as seen:
            module.score(batch, batch_idx)
        return self.measure_in(seen, token_lengths(module, batch))

    def measure_in(self, seen: Observation, lengths: Tensor | None) -> Measured:
        """Numbers by metric key.

        Args:
            seen: A pass over the sequences to measure.
            lengths: (B,) tokens of each; None if all are full.

        Raises:
            ValueError: If attention is measured and no layer pays any, or experts of a model that
                has none.
        """
        for each in self.measurements:
            if each.sees in _LACKING and not getattr(seen, each.sees):
                raise ValueError(
                    f"{type(self).__name__} measures {_LACKING[each.sees]}: leave it out"
                )
        return {
            key: number
            for each in self.measurements
            for key, number in logged(measured(each, seen, lengths)).items()
        }

    def draw(self, trainer: L.Trainer) -> None:
        for each in self.measurements:
            draw_by_depth(trainer, each.name, each.title, each.quantities, self.history)


def look(
    watching: Sequence[Probing], trainer: L.Trainer, module: Any, batch: Any, batch_idx: int
) -> None:
    """Let callbacks measure, log and remember: all on the same sequences, and in as few passes as
    they need.

    Args:
        watching: Callbacks, at least one.
        trainer: Theirs.
        module: What is measured.
        batch: This rank's; each measures the first of the global batch.
        batch_idx: Its index.
    """
    if not isinstance(batch, Batch):
        raise ValueError(
            f"{type(watching[0]).__name__} measures batches of type lightning_posenc.data.Batch, "
            f"and got {type(batch).__name__}: let the data give those, or leave the callback out"
        )
    n_ranks, most = trainer.world_size, max(each.n_sequences for each in watching)
    batch = batch.first(-(-most // n_ranks))
    if n_ranks > 1:
        batch = gathered(batch, n_ranks).first(most)
    observing = [each for each in watching if isinstance(each, Observing)]
    found: list[tuple[Probing, Measured]] = []
    with isolated(trainer, module), torch.no_grad():
        state = random_state(module)
        if observing:
            shared = batch.first(max(each.n_sequences for each in observing))
            seen = _observed(observing, module, shared, batch_idx)
            for observer in observing:
                n = observer.n_sequences
                lengths = token_lengths(module, batch.first(n))
                found.append((observer, observer.measure_in(seen.first(n), lengths)))
            seen.clear()
        for each in watching:
            if not isinstance(each, Observing):
                set_random_state(module, state)  # what is drawn is drawn as for the others
                own = batch.first(each.n_sequences)
                found.append((each, each.measure(module, own, batch_idx)))
    for each, measured_now in found:
        each.note(trainer, module, measured_now)


def _observed(
    observing: Sequence[Observing], module: Any, batch: Batch, batch_idx: int
) -> Observation:
    """One pass over a batch; of attention, no more is kept than somebody looks at."""
    wanted = [
        each.n_sequences
        for each in observing
        if any(measurement.sees_attention for measurement in each.measurements)
    ]
    attention: list[Operands] = []

    def take(operands: Operands) -> None:
        if wanted:
            attention.append(first_sequences(operands, max(wanted) * seen.windows))

    with observe(observed(module), take_attention=take) as seen:
        module.score(batch, batch_idx)
    seen.attention = attention
    return seen


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
