"""What is one seed's of a trainer that trains several: what its callbacks see, its checkpoint, its
table of metrics.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import Logger
from torch import Tensor

from lightning_posenc.compat.lightning import dumped_checkpoint, kept_hparams
from lightning_posenc.modules.scored import ScoredModule
from lightning_posenc.modules.trained import TrainedModule
from lightning_posenc.runs.metrics_csv import MetricsCSV
from lightning_posenc.training.checkpoint_config import CONFIG_KEY
from lightning_posenc.training.stacked.module import StackedModule
from lightning_posenc.training.stacked.seed_view import SeedView
from lightning_posenc.training.summary import METRICS


class SeedTrainer(SeedView):
    """A trainer as a callback of one seed's run sees it: with that run's metrics, and saving its
    checkpoint.

    Args:
        trainer: Of them all.
        place: Of the seed, from 0.
        config: The run's whole config, as YAML.
    """

    def __init__(self, trainer: L.Trainer, place: int, config: str) -> None:
        super().__init__(trainer, place)
        self._config = config
        self.callbacks: list[L.Callback] = []  # of the run, whose states its checkpoint holds

    @property
    def lightning_module(self) -> TrainedModule:
        """The seed's own."""
        return self._whole.stack.modules[self.place]

    @property
    def callback_metrics(self) -> dict[str, Tensor]:
        """The run's own, by their keys."""
        return of_place(self.of_all.callback_metrics, self.place)

    def save_checkpoint(self, filepath: str | Path, weights_only: bool = False) -> None:
        """Write what `fit` of this seed alone would have written."""
        module, data = self.lightning_module, self.datamodule
        checkpoint = _of_seed(dumped_checkpoint(self.of_all), self._whole, self.place)
        checkpoint["callbacks"] = {each.state_key: each.state_dict() for each in self.callbacks}
        checkpoint[METRICS] = {name: float(v) for name, v in self.callback_metrics.items()}
        if state := data.state_dict():
            checkpoint[type(data).__qualname__] = state
        for each in (module, data):
            checkpoint |= kept_hparams(each)
        # Not a trained one's own, which numbers parameters: the stack has done that.
        ScoredModule.on_save_checkpoint(module, checkpoint)
        checkpoint[CONFIG_KEY] = self._config
        self.of_all.strategy.save_checkpoint(checkpoint, filepath)

    @property
    def _whole(self) -> StackedModule:
        whole: Any = self.of_all.lightning_module
        assert isinstance(whole, StackedModule)
        return whole


class SeedTables(Logger):
    """Gives each run's `metrics.csv` the metrics that are its own.

    Args:
        run_dirs: The runs' directories, by their places.
    """

    def __init__(self, run_dirs: Sequence[Path]) -> None:
        super().__init__()
        self._tables = [MetricsCSV(each) for each in run_dirs]

    @property
    def name(self) -> str:
        return "stacked"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: `config.yaml` beside the metrics holds the whole config."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        shared = {name: value for name, value in metrics.items() if not name[0].isdigit()}
        for place, table in enumerate(self._tables):
            if own := of_place(metrics, place):
                table.log_metrics(own | shared, step)

    def finalize(self, status: str) -> None:
        for table in self._tables:
            table.finalize(status)


def of_place(metrics: Any, place: int) -> dict[str, Any]:
    """The metrics of one place among those of all, by their keys alone."""
    start = f"{place}/"
    return {n.removeprefix(start): v for n, v in metrics.items() if n.startswith(start)}


def _of_seed(checkpoint: dict[str, Any], whole: StackedModule, place: int) -> dict[str, Any]:
    """Weights and moments of one place, in tensors of their own: views would save all of them."""
    weights = whole.stack.modules[place].state_dict()
    for name, value in weights.items():
        weights[name] = value.clone()
    stacked = list(whole.template.parameters())

    def own(number: int, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return (value[place] if value.shape == stacked[number].shape else value).clone()

    return {
        **checkpoint,
        "state_dict": weights,
        "optimizer_states": [
            {
                **state,
                "state": {
                    number: {name: own(number, value) for name, value in moments.items()}
                    for number, moments in state["state"].items()
                },
            }
            for state in checkpoint["optimizer_states"]
        ],
    }
