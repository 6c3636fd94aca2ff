"""What keeps several seeds' runs while they are trained as one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L

from lightning_posenc.modules.resumption import Resumption
from lightning_posenc.runs.run_directory import CHECKPOINTS
from lightning_posenc.training.run_checkpoint import RunCheckpoint, kept_by_run
from lightning_posenc.training.stacked.module import StackedModule
from lightning_posenc.training.stacked.one_seed import SeedTrainer
from lightning_posenc.training.step_time import StepTime


class SeedRuns(L.Callback):
    """Keeps each run's best and last checkpoint, as its own `fit` would; not of one left behind.

    Args:
        run_dirs: The runs' directories, by their places.
        configs: Their whole configs, as YAML.
    """

    def __init__(self, run_dirs: Sequence[Path], configs: Sequence[str]) -> None:
        self._given = list(zip(run_dirs, configs, strict=True))
        self._runs: list[SeedTrainer] = []
        self.times = StepTime()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._runs = [SeedTrainer(trainer, n, config) for n, (_, config) in enumerate(self._given)]
        for run, (run_dir, _) in zip(self._runs, self._given, strict=True):
            run.callbacks = kept_by_run(run_dir / CHECKPOINTS, [])
        self._tell("setup", pl_module, stage)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._tell("on_train_start", pl_module)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.times.mark(pl_module.device)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.times.pause()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.times.pause()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save("on_validation_end", pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save("on_train_epoch_end", pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._tell("on_train_end", pl_module)

    def _save(self, hook: str, whole: L.LightningModule) -> None:
        assert isinstance(whole, StackedModule)
        whole.leave_behind(by_weights=True)
        self._tell(hook, whole)

    def _tell(self, hook: str, whole: L.LightningModule, *told: Any) -> None:
        assert isinstance(whole, StackedModule)
        for run, module, alive in zip(self._runs, whole.stack.modules, whole.alive, strict=True):
            for callback in run.callbacks if alive else ():
                assert isinstance(callback, RunCheckpoint)
                getattr(callback, hook)(run, module, *told)


class ResumptionOfEach(Resumption):
    """Tells how the optimizer is configured by the names that parameters have in each module."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, StackedModule)
        super().on_fit_start(trainer, pl_module.template)
