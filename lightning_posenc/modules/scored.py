"""What every LightningModule of this package shares, whatever model it is: batches are scored, and
metrics kept by stage and length.

Shapes: B sequences, T tokens, C classes.
"""

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import FrameType
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torchmetrics import Metric

from lightning_posenc.compat.earlier_releases import of_today
from lightning_posenc.compat.lightning import set_hparams, trainer_of
from lightning_posenc.data.batch import Batch
from lightning_posenc.diagnostics.metric_keys import Key, parse
from lightning_posenc.modules.hyperparameters import check_named, given_names, kept
from lightning_posenc.modules.known_data import KnownData
from lightning_posenc.modules.metrics import WideMetrics, wide_by_default
from lightning_posenc.modules.weighted_mean import WeightedMean
from lightning_posenc.runs.checkpoint_sizes import oversized
from lightning_posenc.tasks import IGNORE

Stage = Literal["val", "test"]
MODULE = "lightning_posenc_module"  # of a checkpoint: the dotted path of the module's class


class ScoredModule(L.LightningModule):
    """A model that scores batches; a subclass says which, and how.

    Evaluation logs `val/<metric>`, and `test/<metric>/len_<T>` for each length. Data that is
    evaluated is read as that which was trained on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known_data = KnownData()
        self.told_apart: frozenset[str] = frozenset()  # metrics that `_evaluate` leaves alone
        self.of_scores: frozenset[str] = frozenset()  # metrics that are told logits, not classes
        self.metrics = nn.ModuleDict()  # by the key that they share: "val", one a test length

    def keep_hyperparameters(self, frame: FrameType | None) -> None:
        """Keep what the whole module was made with, plain, for the checkpoint.

        Plain, so that a checkpoint of a program can be read as safely as one of a command.

        Args:
            frame: Of the constructor that calls.
        """
        # Kept for the checkpoint only: loggers get the run's whole config once, not twice.
        with warnings.catch_warnings():
            # A sampler of positions is a module, so as to know training from testing; it has no
            # weights that would be saved twice.
            warnings.filterwarnings("ignore", "Attribute '.*positions' is an instance of `nn.Mod")
            self.save_hyperparameters(logger=False, frame=frame)
        names = given_names(self, frame)
        given = {k: v for k, v in self.hparams.items() if k in names or k.startswith("_")}
        set_hparams(self, kept(given))

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As Lightning has it; what the checkpoint names must be imported already.

        Raises:
            ValueError: If it names anything else, or asks for a larger model than its weights are
                of: a few kilobytes could then ask for all memory.
        """
        if isinstance(checkpoint_path, str | PathLike) and Path(checkpoint_path).is_file():
            contents = torch.load(checkpoint_path, "cpu", weights_only=True, mmap=True)
            arguments = contents.get("hyper_parameters", {})
            check_named(arguments)
            if asked := oversized(arguments, contents.get("state_dict")):
                raise ValueError(f"{checkpoint_path}: its arguments ask for {asked}")
            moved = {k: v for k, v in of_today(arguments).items() if v != arguments.get(k)}
            kwargs = {**{k: v for k, v in moved.items() if k[0] != "_"}, **kwargs}
        return super().load_from_checkpoint(checkpoint_path, *args, **kwargs)

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
        return self.predicted(self.logits(batch), batch)

    def predicted(self, logits: Tensor, batch: Batch) -> Tensor:
        """What metrics compare with the batch's targets, and evaluation returns."""
        return logits.argmax(dim=-1)

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def setup(self, stage: str) -> None:
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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[MODULE] = f"{type(self).__module__}.{type(self).__qualname__}"

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.know(checkpoint)

    def know(self, checkpoint: Mapping[str, Any]) -> None:
        """Know what the numbers of a checkpoint's data mean, whose weights these are."""
        self._known_data.learn(checkpoint)

    def _evaluate(self, of: Key, batch: Batch, batch_idx: int) -> Tensor:
        return self.judged(of, batch, *self.score(batch, batch_idx))

    def judged(
        self, of: Key, batch: Batch, loss: Tensor, logits: Tensor, targets: Tensor
    ) -> Tensor:
        """Update the metrics of a stage and length by what `score` said of a batch; returns the
        predicted classes.
        """
        group = str(of)
        if group not in self.metrics:
            self.metrics[group] = WideMetrics(self._new_metrics, self.device)
        predictions = self.predicted(logits, batch)
        with wide_by_default():
            for name, metric in cast(WideMetrics, self.metrics[group]).named():
                if name == "loss":
                    n_scored = count_scored(targets)
                    # The mean over no targets is NaN, which a weight of 0 would not take away.
                    metric.update(torch.where(n_scored > 0, loss, 0.0), weight=n_scored)
                elif name in self.of_scores:
                    metric.update(logits, targets)
                elif name not in self.told_apart:
                    metric.update(predictions, targets)
        return predictions

    def _new_metrics(self) -> dict[str, Metric]:
        return {"loss": WeightedMean(), **self.new_metrics()}

    def _log_metrics(self, stage: Stage) -> None:
        for name, value in self.taken_metrics(stage).items():
            # Said to Lightning, which warns: every rank has the same value already.
            self.log(name, value, sync_dist=True)

    def taken_metrics(self, stage: Stage) -> dict[str, Tensor]:
        """Metrics of a stage by key, over all batches since they were last taken."""
        found: dict[str, Tensor] = {}
        for group, of_group in self.metrics.items():
            if (of := parse(group)).stage != stage:
                continue
            metrics = cast(WideMetrics, of_group)
            with wide_by_default():
                values = self.with_derived(metrics.compute())
            found |= {str(of._replace(name=name)): value for name, value in values.items()}
            metrics.reset()
        return found


def count_scored(targets: Tensor) -> Tensor:
    """How many targets are scored, ()."""
    return (targets != IGNORE).sum()
