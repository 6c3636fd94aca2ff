"""What every LightningModule of this package shares: encoder, optimizer groups, metrics.

Shapes: B sequences, T tokens, D = d_model.
"""

import inspect
import warnings
from abc import abstractmethod
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer, SparseAdam
from torchmetrics import Metric

from lightning_posenc.checks import MOST_STEPS, is_a, made, number, whole
from lightning_posenc.compat.earlier_releases import of_today
from lightning_posenc.compat.lightning import set_hparams, trainer_of
from lightning_posenc.data.batch import Batch, are_ids
from lightning_posenc.diagnostics.metric_keys import Key, parse
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.model.inputs import Inputs, InputsFactory, TokenEmbedding
from lightning_posenc.model.penalties import penalties
from lightning_posenc.modules import sharding
from lightning_posenc.modules.clipping import check_clipping, clipped_unscaled
from lightning_posenc.modules.compile_options import checked_options
from lightning_posenc.modules.hyperparameters import check_named, given_names, kept, rebuilt
from lightning_posenc.modules.known_data import KnownData
from lightning_posenc.modules.loss_share import weighted
from lightning_posenc.modules.metrics import WideMetrics, wide_by_default
from lightning_posenc.modules.optim import (
    OptimizerFactory,
    WarmupCosine,
    check_rates,
    parameter_groups,
)
from lightning_posenc.modules.resumption import Resumption
from lightning_posenc.modules.scheduling import (
    ScheduleFactory,
    check_multiplier,
    held_back,
    make_schedule,
    stepped,
)
from lightning_posenc.modules.total_steps import Reached, reached, total_steps
from lightning_posenc.modules.weighted_mean import WeightedMean
from lightning_posenc.positional import NoPE
from lightning_posenc.positional.base import Factory, PositionalEncoding
from lightning_posenc.positional.compose import idle_parameters
from lightning_posenc.positions import Positions
from lightning_posenc.tasks import IGNORE

Stage = Literal["val", "test"]

HEAD_STD = 0.02  # of a head's weights at initialisation, as in GPT-2


class EncoderModule(L.LightningModule):
    """Inputs, encoder, and a head that a subclass adds.

    Evaluation logs `val/<metric>`, and `test/<metric>/len_<T>` for each length.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Number of token ids; None where the data has none.
        inputs: Makes what turns a batch's inputs into tokens of the model's width, of the dims and
            the vocab_size; None for TokenEmbedding. Its parameters are called `embedding.…`.
        causal: Whether a token sees only itself and its past.
        positional: Makes the encoding from the model's dims.
        positions: Where tokens are; None counts 0, 1, 2, …
        optimizer: Makes the optimizer from parameter groups; None makes torch's AdamW. Not AdamW
            itself: its weight decay would pass to whatever optimizer a config names instead.
        schedule: Makes the schedule from the optimizer and, by the name that it has there
            (total_steps, T_max, total_iters), the run's total steps. It is stepped once per
            optimizer step; ReduceLROnPlateau once per epoch, by val/loss. None for a constant
            rate.
        positional_lr_multiplier: Learning rate of the positional parameters over the others', not
            negative; 0 keeps them as they are.
        positional_weight_decay: Weight decay of the positional parameters, not negative.
        positional_warmup_steps: Steps over which the learning rate of the positional parameters
            rises linearly to what the schedule gives them.
        positional_frozen_steps: Steps before those, in which the positional parameters stay as
            they are.
        compile: Whether `torch.compile` runs the encoder, in place: checkpoints stay as they are.
            Or the options that it is called with, such as {mode: max-autotune} or
            {backend: aot_eager}. A second length of sequences compiles once more, and further
            ones do not, unless {dynamic: false} says so.
    """

    def __init__(
        self,
        encoder: EncoderSpec,
        vocab_size: int | None,
        *,
        inputs: InputsFactory | None = None,
        causal: bool = False,
        positional: Factory = NoPE,
        positions: Positions | None = None,
        optimizer: OptimizerFactory | None = None,
        schedule: ScheduleFactory | None = WarmupCosine,
        positional_lr_multiplier: float = 1.0,
        positional_weight_decay: float = 0.0,
        positional_warmup_steps: int = 0,
        positional_frozen_steps: int = 0,
        compile: bool | dict[str, Any] = False,
    ) -> None:
        super().__init__()
        # Kept for the checkpoint only: loggers get the run's whole config once, not twice.
        with warnings.catch_warnings():
            # A sampler of positions is a module, so as to know training from testing; it has no
            # weights that would be saved twice.
            warnings.filterwarnings("ignore", "Attribute 'positions' is an instance of `nn.Module`")
            self.save_hyperparameters(logger=False)
        # Plain, so that a checkpoint of a program can be read as safely as one of a command.
        names = given_names(self, inspect.currentframe())
        given = {k: v for k, v in self.hparams.items() if k in names or k.startswith("_")}
        set_hparams(self, kept(given))
        encoder = rebuilt("encoder", encoder)
        positional, positions = rebuilt("positional", positional), rebuilt("positions", positions)
        optimizer, schedule = rebuilt("optimizer", optimizer), rebuilt("schedule", schedule)
        inputs = TokenEmbedding if inputs is None else rebuilt("inputs", inputs)
        is_a(self, "positional", positional, Callable)
        for name, make in (("optimizer", optimizer), ("schedule", schedule)):
            if make is not None:
                is_a(self, name, make, Callable)
        is_a(self, "encoder", encoder, EncoderSpec)
        self.encoder = encoder.build(positional, positions, causal)
        dims = self.encoder.dims
        self.embedding: Inputs = made(self, "inputs", inputs, Inputs, dims, vocab_size)
        self.make_optimizer = AdamW if optimizer is None else optimizer
        self.schedule = schedule
        number(self, "positional_lr_multiplier", positional_lr_multiplier, 0)
        number(self, "positional_weight_decay", positional_weight_decay, 0)
        whole(self, "positional_warmup_steps", positional_warmup_steps, 0, MOST_STEPS)
        whole(self, "positional_frozen_steps", positional_frozen_steps, 0, MOST_STEPS)
        self.positional_lr_multiplier = positional_lr_multiplier
        self.positional_weight_decay = positional_weight_decay
        self.positional_warmup_steps = positional_warmup_steps
        self.positional_frozen_steps = positional_frozen_steps
        is_a(self, "compile", compile, bool | dict)
        self.compile_options = checked_options(compile)
        self._is_compiled = False
        self._known_data = KnownData()
        self._reached: Reached | None = None  # where a resumed run goes on
        self._total_steps: float = 0
        self.lr: float | None = None  # that LearningRateFinder has found, for all groups
        self.metrics = nn.ModuleDict()  # by the key that they share: "val", one a test length

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As Lightning has it; what the checkpoint names must be imported already.

        Raises:
            ValueError: If it names anything else.
        """
        if isinstance(checkpoint_path, str | PathLike) and Path(checkpoint_path).is_file():
            contents = torch.load(checkpoint_path, "cpu", weights_only=True, mmap=True)
            arguments = contents.get("hyper_parameters", {})
            check_named(arguments)
            moved = {k: v for k, v in of_today(arguments).items() if v != arguments[k]}
            kwargs = {**{k: v for k, v in moved.items() if k[0] != "_"}, **kwargs}
        return super().load_from_checkpoint(checkpoint_path, *args, **kwargs)

    @property
    def positional(self) -> PositionalEncoding:
        """The encoding, whose parameters are exactly the positional ones."""
        return self.encoder.positional

    @property
    def datamodule(self) -> Any:
        """The trainer's data module; None without one."""
        return getattr(trainer_of(self), "datamodule", None)

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """Class scores, (B, C) or (B, T, C)."""

    @abstractmethod
    def score(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of a batch (a mean over its scored targets), logits (…, C) and targets (…)."""

    @abstractmethod
    def new_metrics(self) -> dict[str, Metric]:
        """Metrics besides the loss, updated with predicted classes and targets."""

    def with_derived(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add what follows from the metrics' values, such as a perplexity."""
        return values

    def encode(self, tokens: Tensor, batch: Batch) -> Tensor:
        """Embed and encode what the inputs take, (B, T) ids or (B, …): (B, T, D)."""
        return self.encoder(
            self.embedding(tokens),
            lengths=batch.lengths,
            documents=batch.documents,
            positions=batch.positions,
            tokens=tokens if are_ids(tokens) else None,
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, _, targets = self.score(batch, batch_idx)
        n_scored = _n_scored(targets)
        if self.trainer.world_size > 1:
            loss = weighted(loss, n_scored, self.trainer.world_size)
        else:
            loss = torch.where(n_scored > 0, loss, 0.0)  # a mean over nothing is NaN
        penalty = penalties(self)
        # Only on the steps that loggers hear of: on others the call costs time and tells nobody.
        every: int = getattr(self.trainer, "log_every_n_steps")  # noqa: B009 (set at run time)
        if (self.trainer.global_step + 1) % every == 0:
            rows = len(batch.tokens)
            self.log("train/loss", loss, prog_bar=True, batch_size=rows, sync_dist=True)
            if penalty is not None:
                self.log("train/penalty", penalty, batch_size=rows)
        if isinstance(self.trainer.strategy, DDPStrategy):
            # DDP waits for the gradient of every parameter, those that nothing reads included.
            loss = loss + sum(0.0 * p.sum() for p in idle_parameters(self.positional))
        return loss if penalty is None else loss + penalty

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Leave dropped encodings as they are: without a gradient nothing moves, not even decay."""
        for parameter in idle_parameters(self.positional):
            parameter.grad = None

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        return self._evaluate(Key("", "val"), batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Update the metrics of the batch's length; returns the predicted classes."""
        length = self.test_length(batch, dataloader_idx)
        return self._evaluate(Key("", "test", length), batch, batch_idx)

    def test_length(self, batch: Batch, dataloader_idx: int) -> int:
        """Length of a test loader's samples in the data's own unit; without one, their tokens."""
        lengths = getattr(getattr(self.trainer, "datamodule", None), "eval_lengths", None)
        return lengths[dataloader_idx] if lengths else batch.tokens.shape[1]

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Predicted classes, (B,) or (B, T)."""
        return self.logits(batch).argmax(dim=-1)

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def configure_model(self) -> None:
        """Shard the parameters, where the strategy is ModelParallelStrategy; then compile."""
        if self.device_mesh is not None:
            device = self.trainer.strategy.root_device
            sharding.shard(self, self.encoder, self.device_mesh, device)
        if self.compile_options is not False and not self._is_compiled:
            # Dynamo looks at the gradient of the encoder's input itself.
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor", UserWarning)
            # In place, and not the whole module, whose `self.log` would be compiled too.
            assert not isinstance(self.compile_options, bool)
            self.encoder.compile(**self.compile_options)
            self._is_compiled = True

    def setup(self, stage: str) -> None:
        self._reached = None
        if stage != "fit":
            self._known_data.hand_on(self.datamodule)

    def on_validation_start(self) -> None:
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self._known_data.check()

    def on_test_start(self) -> None:
        self._known_data.check()

    def on_predict_start(self) -> None:
        self._known_data.check()

    def on_train_end(self) -> None:
        self._known_data.trained_on(self.datamodule)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._known_data.learn(checkpoint)
        trainer = trainer_of(self)
        if trainer is not None and trainer.state.fn == TrainerFn.FITTING:
            self._reached = reached(checkpoint)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Number the optimizer's parameters so that any strategy can go on from the checkpoint."""
        if isinstance(self.trainer.strategy, SingleDeviceStrategy | DDPStrategy):
            states = checkpoint.get("optimizer_states", [])
            for n, (state, optimizer) in enumerate(
                zip(states, self.trainer.optimizers, strict=False)
            ):
                states[n] = sharding.number_as_the_model_does(state, optimizer, self)

    def configure_optimizers(self) -> Any:
        groups = parameter_groups(self, self.positional, self.positional_weight_decay)
        optimizer = self.make_optimizer(groups)
        if isinstance(optimizer, SparseAdam):
            raise ValueError("optimizer=SparseAdam takes sparse gradients, which no part has: Adam")
        check_clipping(self.trainer, optimizer)
        check_rates(optimizer)
        schedule = self._scheduled(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": stepped(schedule, self.trainer)}

    def on_train_start(self) -> None:
        """Train at the rate that LearningRateFinder has found, if it was asked.

        It knows of no groups and no schedule, which must begin anew from that rate.
        """
        self._known_data.compare(self.datamodule)
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
        """The schedule of an optimizer whose groups have one rate."""
        for group in optimizer.param_groups:
            if group.get("name") == "positional":
                group["lr"] = group["lr"] * self.positional_lr_multiplier
        self._total_steps = total_steps(self.trainer, self._reached)
        schedule = make_schedule(self.schedule, optimizer, self._total_steps)
        check_multiplier(optimizer, "positional", self.positional_lr_multiplier)
        return held_back(
            schedule, "positional", self.positional_warmup_steps, self.positional_frozen_steps
        )

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

    def _evaluate(self, of: Key, batch: Batch, batch_idx: int) -> Tensor:
        group = str(of)
        loss, logits, targets = self.score(batch, batch_idx)
        if group not in self.metrics:
            self.metrics[group] = WideMetrics(self._new_metrics, self.device)
        predictions = logits.argmax(dim=-1)
        with wide_by_default():
            for name, metric in cast(WideMetrics, self.metrics[group]).named():
                if name == "loss":
                    n_scored = _n_scored(targets)
                    # The mean over no targets is NaN, which a weight of 0 would not take away.
                    metric.update(torch.where(n_scored > 0, loss, 0.0), weight=n_scored)
                else:
                    metric.update(predictions, targets)
        return predictions

    def _new_metrics(self) -> dict[str, Metric]:
        return {"loss": WeightedMean(), **self.new_metrics()}

    def _log_metrics(self, stage: Stage) -> None:
        for group, of_group in self.metrics.items():
            if (of := parse(group)).stage != stage:
                continue
            metrics = cast(WideMetrics, of_group)
            with wide_by_default():
                values = self.with_derived(metrics.compute())
            for name, value in values.items():
                # Said to Lightning, which warns: every rank has the same value already.
                self.log(str(of._replace(name=name)), value, sync_dist=True)
            metrics.reset()


def _n_scored(targets: Tensor) -> Tensor:
    return (targets != IGNORE).sum()
