"""Picture: test accuracy by length, and by position within each length."""

from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.callbacks.module_fits import fits
from lightning_posenc.callbacks.results.baselines import bag_of_tokens_bounds
from lightning_posenc.callbacks.results.length_axis import length_axis
from lightning_posenc.data.batch import Batch
from lightning_posenc.runs.figures import log_figure, new_figure
from lightning_posenc.tasks import IGNORE


class AccuracyByPosition(L.Callback):
    """Counts right answers by position in each test length, and draws `figures/accuracy`.

    The position is the token's own where every token has an answer, and the task's focus (the
    place that the answer hinges on) where a whole sequence has one.
    """

    def __init__(self) -> None:
        self._counts: dict[int, Tensor] = {}  # length -> (2, T) right answers and all answers

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._counts = {}

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not fits(self, pl_module, batch, "test_length"):
            return
        if not isinstance(outputs, Tensor):  # a test step of one's own need not give any
            return
        width = batch.targets.shape[1] if batch.targets.dim() > 1 else batch.tokens.shape[1]
        length = pl_module.test_length(batch, dataloader_idx)  # type: ignore[operator]
        where = torch.arange(width, device=batch.tokens.device).expand(len(batch.tokens), -1)
        if batch.targets.dim() == 1:
            if batch.focus is None:
                return
            where = batch.focus
        # A masked language model chooses its targets itself: it has none here to compare with.
        if outputs.shape != batch.targets.shape or getattr(pl_module, "objective", "") == "masked":
            return
        scored = batch.targets != IGNORE
        counts = _widened(self._counts.get(length, where.new_zeros(2, 0)), width)
        self._counts[length] = counts
        for row, hit in enumerate((scored & (outputs == batch.targets), scored)):
            counts[row].index_add_(0, where.flatten(), hit.flatten().to(counts.dtype))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._counts:
            return
        sums = {T: _over_ranks(trainer, c).cpu().double() for T, c in self._counts.items()}
        by_position = {T: (right / total) for T, (right, total) in sorted(sums.items())}
        overall = {
            T: float(right.sum() / total.sum()) for T, (right, total) in sorted(sums.items())
        }
        bounds = bag_of_tokens_bounds(trainer)
        _draw(trainer, overall, by_position, bounds)


def _widened(counts: Tensor, width: int) -> Tensor:
    """Counts (2, n) of so many positions at least: batches are as wide as their longest row."""
    return F.pad(counts, (0, max(0, width - counts.shape[1])))


def _over_ranks(trainer: L.Trainer, counts: Tensor) -> Tensor:
    width = trainer.strategy.reduce(torch.tensor(counts.shape[1]).to(counts), reduce_op="max")
    whole: Tensor = trainer.strategy.reduce(_widened(counts, int(width)), reduce_op="sum")
    return whole


def _draw(
    trainer: L.Trainer,
    overall: dict[int, float],
    by_position: dict[int, Tensor],
    bounds: dict[int, float],
) -> None:
    figure = new_figure(figsize=(9, 3.6))
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    names = [str(length) for length in overall]
    bars = left.bar(names, list(overall.values()), color="C0")
    left.bar_label(bars, fmt="%.3f")
    for place, length in enumerate(overall):
        if length in bounds:
            left.hlines(bounds[length], place - 0.45, place + 0.45, "black", "dashed")
    if bounds:
        left.plot([], [], "k--", label="best without order")
        left.legend(loc="lower right")
    axis = length_axis(trainer)
    along = "sequence length" if axis == "length" else axis
    left.set(xlabel=along, ylabel="test accuracy", ylim=(0, 1.12), title=f"by {axis}")
    for length, accuracy in by_position.items():
        seen = ~accuracy.isnan()
        index = torch.arange(len(accuracy))
        right.plot(index[seen], accuracy[seen], marker=".", label=f"{axis} {length}")
    right.set(xlabel="position", ylim=(-0.03, 1.12), title="by position of the token asked about")
    right.legend(loc="lower right")
    numbers = {
        "accuracy": overall,
        "accuracy_by_position": {
            length: [None if value != value else round(value, 6) for value in accuracy.tolist()]
            for length, accuracy in by_position.items()
        },
        "bag_of_tokens_bound": bounds,
    }
    log_figure(trainer, "accuracy", figure, numbers)
