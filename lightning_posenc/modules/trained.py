"""How a model of this package is trained: optimizer and schedule, sharding and compilation, what a
run that goes on needs.
"""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer, SparseAdam

from lightning_posenc.checks import is_a, number
from lightning_posenc.compat.lightning import trainer_of
from lightning_posenc.data.batch import Batch
from lightning_posenc.model.penalties import penalties
from lightning_posenc.modules import sharding
from lightning_posenc.modules.clipping import check_clipping, clipped_unscaled
from lightning_posenc.modules.compile_options import checked_options
from lightning_posenc.modules.layer_decay import FACTOR, by_layer
from lightning_posenc.modules.loss_share import weighted
from lightning_posenc.modules.muon_groups import hidden_matrices_apart
from lightning_posenc.modules.optim import (
    OptimizerFactory,
    WarmupCosine,
    check_rates,
    parameter_groups,
)
from lightning_posenc.modules.resumption import Resumption
from lightning_posenc.modules.scheduling import (
    ScheduleFactory,
    check_ratios,
    make_schedule,
    stepped,
)
from lightning_posenc.modules.scored import ScoredModule, count_scored
from lightning_posenc.modules.total_steps import Reached, reached, say_few_steps, total_steps


class TrainedModule(ScoredModule):
    """A model of repeated blocks that learns from what it scores.

    Args:
        optimizer: Makes the optimizer from parameter groups; None makes torch's AdamW. Not AdamW
            itself: its weight decay would pass to whatever optimizer a config names instead.
        schedule: Makes the schedule from the optimizer and, by the name that it has there
            (total_steps, T_max, total_iters), the run's total steps. It is stepped once per
            optimizer step; ReduceLROnPlateau once per epoch, by val/loss. None for a constant
            rate.
        layer_decay: Learning rate of a block over that of the block above it, in (0, 1];
            `layer_decay.py` says of what else.
        muon_groups: Whether the blocks' matrices are a group apart, and groups are marked
            `use_muon`, as optimizers of the Muon family ask for it: `muon_groups.py`.
        compile: Whether `torch.compile` runs the model, in place: checkpoints stay as they are.
            Or the options that it is called with, such as {mode: max-autotune} or
            {backend: aot_eager}. A second length of sequences compiles once more, and further
            ones do not, unless {dynamic: false} says so.
    """

    def __init__(
        self,
        *,
        optimizer: OptimizerFactory | None = None,
        schedule: ScheduleFactory | None = WarmupCosine,
        layer_decay: float = 1.0,
        muon_groups: bool = False,
        compile: bool | dict[str, Any] = False,
    ) -> None:
        super().__init__()
        for name, make in (("optimizer", optimizer), ("schedule", schedule)):
            if make is not None:
                is_a(self, name, make, Callable)
        self.make_optimizer = AdamW if optimizer is None else optimizer
        self.schedule = schedule
        self.layer_decay = number(self, "layer_decay", layer_decay, above=0, most=1)
        self.muon_groups = is_a(self, "muon_groups", muon_groups, bool)
        is_a(self, "compile", compile, bool | dict)
        self.compile_options = checked_options(compile)
        self.thawed_later: frozenset[str] = frozenset()  # parameters that a callback unfreezes
        self._is_compiled = False
        self._reached: Reached | None = None  # where a resumed run goes on
        self._total_steps: float = 0
        self.terms: dict[str, Tensor] = {}  # of the last step's loss, if parts ask for a penalty
        self.lr: float | None = None  # that LearningRateFinder has found, for all groups

    @property
    @abstractmethod
    def trunk(self) -> nn.Module:
        """The part that is compiled: it runs the blocks."""

    @property
    def trunks(self) -> Sequence[nn.Module]:
        """All such parts, where there are several."""
        return (self.trunk,)

    @property
    @abstractmethod
    def blocks(self) -> Sequence[nn.Module]:
        """The repeated blocks, from the inputs on."""

    @property
    @abstractmethod
    def input_parameters(self) -> Iterable[nn.Parameter]:
        """What is learned of the inputs, below the first block."""

    @property
    def gathered(self) -> Sequence[nn.Module]:
        """The blocks that a sharded model gathers one at a time."""
        return self.blocks

    def idle_parameters(self) -> Sequence[nn.Parameter]:
        """What takes no part in the forward pass at present, though it is trained."""
        return ()

    def training_loss(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """What training lowers: the mean loss over a batch's scored targets, and what parts ask to
        be added, None if nothing; and how many targets are scored.
        """
        loss, _, targets = self.score(batch, batch_idx)
        return self._lowered(loss, targets)

    def _lowered(self, loss: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        n_scored = count_scored(targets)
        loss = torch.where(n_scored > 0, loss, 0.0)  # a mean over nothing is NaN
        return loss, penalties(self), n_scored

    def training_scores(
        self, batch: Batch, batch_idx: int
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """The same, and the share of the targets that are right; NaN where a score is not of one
        target, as in CTC.
        """
        loss, logits, targets = self.score(batch, batch_idx)
        right = loss.new_full((), torch.nan)
        if type(self).predicted is ScoredModule.predicted and logits.shape[:-1] == targets.shape:
            n_right = (logits.detach().argmax(dim=-1) == targets).sum()
            right = n_right / count_scored(targets).clamp(min=1)
        return *self._lowered(loss, targets), right

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        # Only on the steps that loggers hear of: on others the call costs time and tells nobody.
        every: int = getattr(self.trainer, "log_every_n_steps")  # noqa: B009 (set at run time)
        logs = every > 0 and (self.trainer.global_step + 1) % every == 0  # 0 of a barebones Trainer
        if logs:
            loss, penalty, n_scored, right = self.training_scores(batch, batch_idx)
        else:
            loss, penalty, n_scored = self.training_loss(batch, batch_idx)
        if self.trainer.world_size > 1:
            loss = weighted(loss, n_scored, self.trainer.world_size)
        if logs:
            rows = len(batch.tokens)
            self.log("train/loss", loss, prog_bar=True, batch_size=rows, sync_dist=True)
            self.log("train/lr", self.rate(), batch_size=rows)
            if not right.isnan():
                self.log("train/acc", right, batch_size=rows, sync_dist=True)
            if penalty is not None:
                self.log("train/penalty", penalty, batch_size=rows)
        if isinstance(self.trainer.strategy, DDPStrategy):
            # DDP waits for the gradient of every parameter, those that nothing reads included.
            loss = loss + sum(0.0 * p.sum() for p in self.idle_parameters())
        if penalty is None:
            return loss
        self.terms = {"the loss": loss.detach(), "the penalty": torch.as_tensor(penalty).detach()}
        return loss + penalty

    def rate(self) -> float:
        """Learning rate of this step, that of the first group, whose parameters decay."""
        optimizer = self.trainer.optimizers[0]
        return float(optimizer.param_groups[0]["lr"])

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Leave idle parameters as they are: without a gradient nothing moves, not even decay."""
        for parameter in self.idle_parameters():
            parameter.grad = None

    def configure_model(self) -> None:
        """Shard the parameters, where the strategy is ModelParallelStrategy; then compile."""
        if self.device_mesh is not None:
            device = self.trainer.strategy.root_device
            sharding.shard(self, self.gathered, self.device_mesh, device)
        if self.compile_options is not False and not self._is_compiled:
            # Dynamo looks at the gradient of the model's input itself.
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor", UserWarning)
            # In place, and not the whole module, whose `self.log` would be compiled too.
            assert not isinstance(self.compile_options, bool)
            for trunk in self.trunks:
                trunk.compile(**self.compile_options)
            self._is_compiled = True

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self._reached = None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        trainer = trainer_of(self)
        if trainer is not None and trainer.state.fn == TrainerFn.FITTING:
            self._reached = reached(checkpoint)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Number the optimizer's parameters so that any strategy can go on from the checkpoint."""
        super().on_save_checkpoint(checkpoint)
        if not self.is_sharded:
            states = checkpoint.get("optimizer_states", [])
            for n, (state, optimizer) in enumerate(
                zip(states, self.trainer.optimizers, strict=False)
            ):
                states[n] = sharding.number_as_the_model_does(state, optimizer, self)

    @property
    def is_sharded(self) -> bool:
        """Whether the strategy may hold a part of the weights on each rank."""
        return not isinstance(self.trainer.strategy, SingleDeviceStrategy | DDPStrategy)

    def configure_optimizers(self) -> Any:
        groups = self.parameter_groups()
        if self.muon_groups:
            groups = hidden_matrices_apart(groups, self.blocks)
        groups = by_layer(groups, self.blocks, self.input_parameters, self.layer_decay)
        optimizer = self.make_optimizer(groups)
        if isinstance(optimizer, SparseAdam):
            raise ValueError("optimizer=SparseAdam takes sparse gradients, which no part has: Adam")
        check_clipping(self.trainer, optimizer)
        check_rates(optimizer)
        schedule = self._scheduled(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": stepped(schedule, self.trainer)}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is trained, now or later, in groups of one weight decay."""
        return parameter_groups(self, later=self.thawed_later)

    def on_train_start(self) -> None:
        """Train at the rate that LearningRateFinder has found, if it was asked.

        It knows of no groups and no schedule, which must begin anew from that rate.
        """
        self._known_data.compare(self.datamodule)
        if self._reached is None:
            say_few_steps(self.trainer, self.datamodule, self._total_steps)
        if self.trainer.strategy.restore_checkpoint_after_setup:
            self._check_total_steps()
        if self.lr is None:
            return
        optimizer = self.trainer.optimizers[0]
        for group in optimizer.param_groups:
            group["lr"] = self.lr
            group.pop("initial_lr", None)
        self.trainer.lr_scheduler_configs[0].scheduler = self._scheduled(optimizer)
        self.lr = None  # a fit that follows is as configured

    def _check_total_steps(self) -> None:
        """Refuse a schedule that was made before it was known where the run goes on."""
        if (total := total_steps(self.trainer, self._reached)) != self._total_steps:
            raise ValueError(
                f"cannot resume a sharded run with epochs of another length: it makes {total} "
                f"steps in all, not {self._total_steps}: leave the data's and the trainer's "
                "numbers of batches as they were"
            )

    def _scheduled(self, optimizer: Optimizer) -> Any:
        """The schedule of an optimizer whose groups have the rates that it gave them."""
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * self.rate_factor(group)
        peaks = [float(group["lr"]) for group in optimizer.param_groups]
        self._total_steps = total_steps(self.trainer, self._reached)
        schedule = make_schedule(self.schedule, optimizer, self._total_steps)
        check_ratios(optimizer, peaks, self.rate_options())
        return self.held_back(schedule)

    def rate_factor(self, group: dict[str, Any]) -> float:
        """The learning rate of a group over that of the optimizer."""
        return float(group.get(FACTOR, 1.0))

    def rate_options(self) -> str:
        """The options that make the groups' rates different, with their values."""
        return f"layer_decay={self.layer_decay}"

    def held_back(self, schedule: Any) -> Any:
        """The schedule, changed for groups that train later than others."""
        return schedule

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        clip = (optimizer, gradient_clip_val, gradient_clip_algorithm)
        if not clipped_unscaled(self.trainer, *clip):
            super().configure_gradient_clipping(*clip)

    def configure_callbacks(self) -> list[L.Callback]:
        """What a resumed run needs; the command line brings it for every module."""
        there = any(isinstance(callback, Resumption) for callback in self.trainer.callbacks)  # type: ignore[attr-defined]
        return [] if there else [Resumption()]
