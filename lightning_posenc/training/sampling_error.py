"""How sure is a test score, given how many sequences it is of?"""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.tasks import IGNORE


class SamplingErrors:
    """Counts, by test length, what the standard errors of "acc" and "exact" follow from.

    Answers of one sequence depend on each other, so the sequence is what was sampled: the error of
    the accuracy, right over scored targets, is that of a ratio of two sums over sequences
    (Cochran, "Sampling Techniques", 3rd ed., 1977, section 6.3).
    """

    def __init__(self) -> None:
        # Over sequences, with r right of n targets: 1, r, n, r², rn, n², and how many have r = n.
        self._sums: dict[int, Tensor] = {}

    def add(self, module: Any, batch: Any, outputs: Any, index: int) -> None:
        """Count a test batch, if it is one of this package whose answers are known.

        Args:
            module: Whose test step it was.
            batch: Its sequences.
            outputs: What the test step gave: class ids of the shape of the targets.
            index: Of the dataloader.
        """
        if not isinstance(batch, Batch) or not isinstance(outputs, Tensor):
            return
        # A masked language model chooses its targets itself.
        unknown = getattr(module, "objective", "") == "masked" or not hasattr(module, "test_length")
        if unknown or outputs.shape != batch.targets.shape:
            return
        scored = (batch.targets != IGNORE).reshape(len(outputs), -1)
        hits = ((outputs == batch.targets).reshape(len(outputs), -1)) & scored
        # Whole numbers: float32 would round their squares.
        r, n = hits.sum(dim=1), scored.sum(dim=1)
        asked = (n > 0).long()
        found = torch.stack([asked, r, n, r * r, r * n, n * n, asked * (r == n)]).sum(dim=1)
        length = module.test_length(batch, index)
        self._sums[length] = self._sums.get(length, torch.zeros_like(found)) + found

    def over_ranks(self, trainer: L.Trainer) -> tuple[dict[str, float], dict[str, int]]:
        """Give standard errors by metric key, and sequences by length's key; called by every rank.

        Returns:
            Without lengths of fewer than two sequences.
        """
        errors: dict[str, float] = {}
        counts: dict[str, int] = {}
        for length, sums in sorted(self._sums.items()):
            whole: Tensor = trainer.strategy.reduce(sums, reduce_op="sum")
            sequences, r, n, rr, rn, nn, exact = whole.tolist()
            if sequences < 2 or n == 0:
                continue
            share = r / n
            spread = max(rr - 2 * share * rn + share * share * nn, 0.0)
            errors[str(Key("acc", "test", length))] = (
                spread * sequences / (sequences - 1)
            ) ** 0.5 / n
            whole_share = exact / sequences
            errors[str(Key("exact", "test", length))] = (
                whole_share * (1 - whole_share) / (sequences - 1)
            ) ** 0.5
            counts[str(Key("", "test", length))] = int(sequences)
        return errors, counts
