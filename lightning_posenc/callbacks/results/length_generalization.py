"""Up to which length does the model do what it learned?"""

import math
from typing import Any

import lightning as L
import torch

from lightning_posenc.callbacks.results.accuracy_by_position import AccuracyByPosition
from lightning_posenc.callbacks.results.baselines import bag_of_tokens_bounds
from lightning_posenc.callbacks.results.length_axis import length_axis
from lightning_posenc.checks import is_a
from lightning_posenc.diagnostics.measures.effective_length import SHARE, effective_length, learned
from lightning_posenc.diagnostics.metric_keys import Key, parse
from lightning_posenc.diagnostics.quantities import MAJORITY
from lightning_posenc.runs.figures import log_figure, new_figure

MAX_NAMED = 12  # lengths named along the picture's side


class LengthGeneralization(AccuracyByPosition):
    """Logs `test/effective_length`, and draws `figures/length_generalization`: a metric by test
    length, and accuracy by length and position.

    The effective length is the largest one tested with at least 0.9 of the in-distribution score,
    the mean over the lengths tested that were trained. Test some that were trained
    (`data.eval_lengths`), and some longer ones. It is NaN (null in `summary.json`) of a model whose
    accuracy at trained lengths is no better than what is reached without order, or by always saying
    the most frequent class: such a model keeps its score at any length.

    Args:
        metric: Which of the model's test metrics, the higher the better: "acc", "f1_macro" or,
            where every token is classified, "exact".
    """

    def __init__(self, metric: str = "acc") -> None:
        super().__init__()
        self.metric = is_a(self, "metric", metric, str)
        self._scores: dict[int, float] = {}
        self._bounds: dict[int, float] = {}
        self._learned = True

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        found: dict[int, dict[str, float]] = {}
        for group, metrics in pl_module.metrics.items():
            of = parse(group)
            if of.stage == "test" and isinstance(of.length, int):
                values = {name: metric.compute() for name, metric in metrics.items()}
                values = pl_module.with_derived(values)
                if self.metric not in values:
                    raise ValueError(
                        f"LengthGeneralization: metric={self.metric}: {type(pl_module).__name__} "
                        f"has {', '.join(values)}"
                    )
                found[of.length] = {name: float(value) for name, value in values.items()}
        self._scores = {length: found[length][self.metric] for length in sorted(found)}
        self._bounds = bag_of_tokens_bounds(trainer)
        if (trained := _trained_lengths(trainer)) is not None:
            effective, _ = effective_length(self._scores, trained)
            common = {T: each[MAJORITY] for T, each in found.items() if MAJORITY in each}
            accuracy = {T: each["acc"] for T, each in found.items() if "acc" in each}
            self._learned = learned(accuracy, trained, common | self._bounds)
            if effective is not None:
                value = float(effective) if self._learned else math.nan
                pl_module.log(str(Key("effective_length", "test")), value, sync_dist=True)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._scores:
            return
        by_position = {}
        for length, counts in sorted(self._counts.items()):
            right, total = trainer.strategy.reduce(counts, reduce_op="sum").cpu()
            by_position[length] = [
                round(float(r / n), 6) if n else None for r, n in zip(right, total, strict=True)
            ]
        self._draw(trainer, by_position)

    def _draw(self, trainer: L.Trainer, by_position: dict[int, list[float | None]]) -> None:
        trained = _trained_lengths(trainer)
        effective, wanted = (
            (None, None) if trained is None else effective_length(self._scores, trained)
        )
        if not self._learned:
            effective = None
        bounds = self._bounds
        figure = new_figure(figsize=(10, 3.6) if by_position else (5, 3.6))
        axes = figure.subplots(1, 2 if by_position else 1, squeeze=False)[0]
        ax = axes[0]
        if trained is not None:
            ax.axvspan(*_widened(trained), color="C2", alpha=0.25, label="trained")
        if wanted is not None:
            ax.axhline(
                wanted, color="black", linestyle="--", linewidth=1, label=f"{SHARE} of trained"
            )
        if bounds:
            ax.plot(list(bounds), list(bounds.values()), "k:", label="best without order")
        ax.plot(list(self._scores), list(self._scores.values()), "o-", color="C0")
        axis = length_axis(trainer)
        ax.set(xlabel=f"test {axis}", ylabel=f"test {self.metric}", ylim=(-0.03, 1.03))
        ax.set_xlim(0, 1.05 * max(self._scores))
        said = "none" if effective is None else str(effective)
        ax.set_title(f"effective {axis}: " + (said if self._learned else "nothing was learned"))
        ax.legend(fontsize=8, loc="lower left")
        if by_position:
            widest = max(map(len, by_position.values()))
            grid = torch.full((len(by_position), widest), torch.nan, dtype=torch.float32)
            for row, values in enumerate(by_position.values()):
                grid[row, : len(values)] = torch.tensor(
                    [torch.nan if value is None else value for value in values]
                )
            image = axes[1].imshow(
                grid.numpy(), aspect="auto", origin="lower", vmin=0, vmax=1, interpolation="nearest"
            )
            figure.colorbar(image, ax=axes[1], label="accuracy")
            if trained is not None and trained[1] < widest:
                axes[1].axvline(trained[1] - 0.5, color="red", linestyle="--", linewidth=1)
            step = -(-len(by_position) // MAX_NAMED)
            axes[1].set_yticks(
                range(0, len(by_position), step), [str(T) for T in list(by_position)[::step]]
            )
            axes[1].set(xlabel="position", ylabel=f"test {axis}", title="by position")
        numbers = {
            "metric": self.metric,
            "length_axis": axis,
            "score": self._scores,
            "trained_lengths": trained,
            "wanted_score": wanted,
            "effective_length": effective,
            "learned": self._learned,
            "accuracy_by_position": by_position,
            "bag_of_tokens_bound": bounds,
        }
        log_figure(trainer, "length_generalization", figure, numbers)


def _trained_lengths(trainer: L.Trainer) -> tuple[int, int] | None:
    """The shortest and the longest length that the data trains, in its own unit, if known."""
    return getattr(getattr(trainer, "datamodule", None), "trained_lengths", None)


def _widened(trained: tuple[int, int]) -> tuple[float, float]:
    """A stripe to be seen even where all lengths are one."""
    low, high = trained
    return (low, high) if high > low else (0.97 * low, 1.03 * high)
