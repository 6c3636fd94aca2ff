"""A checkpoint measured anew: scores of each test sequence, and everything by layer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.diagnose.loading import of_length
from lightning_posenc.diagnose.long_pass import FEW
from lightning_posenc.diagnose.opening import opened
from lightning_posenc.diagnose.scores import BySequence, answers, by_sequence
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.diagnostics.measures.measure import logged, measured
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.diagnostics.quantities import MEASUREMENTS
from lightning_posenc.training.checkpoint_config import stored_config


class MeasuredAnew(NamedTuple):
    """What was measured of a checkpoint.

    Args:
        config: That it was trained with.
        steps: Optimizer steps.
        parameters: Number of the model's parameters.
        sequences: Token ids and targets of the scored sequences, by test length.
        scores: What each of them scored; without lengths that the model refuses.
        watched: Everything that an observed pass shows by layer, by metric key.
    """

    config: dict[str, Any]
    steps: int
    parameters: int
    sequences: Mapping[int, list[tuple[Tensor, Tensor]]]
    scores: Mapping[int, BySequence]
    watched: Mapping[str, float]

    def same_sequences(self, other: "MeasuredAnew", length: int) -> bool:
        """Whether both were asked the same at a length, so that their scores are pairs."""
        here, there = self.sequences.get(length, []), other.sequences.get(length, [])
        return len(here) == len(there) > 0 and all(
            torch.equal(one, another)
            for mine, theirs in zip(here, there, strict=True)
            for one, another in zip(mine, theirs, strict=True)
        )


def measure_anew(path: Path) -> MeasuredAnew:
    """Measure a checkpoint on its own data: at most 256 test sequences of each length (or as many
    as a batch has), and everything by layer on the first of its validation data.

    Args:
        path: A checkpoint of this package, one file.

    Raises:
        ValueError: If it is not.
    """
    own, data, contents = opened(path, "--diff")
    sequences, scores = {}, {}
    if not own.transcribes:
        for length in sorted(set(data.eval_lengths)):
            batches = of_length(data, length)
            try:
                scores[length] = by_sequence(answers(own.module, batches))
            except ValueError:  # refused
                continue
            sequences[length] = [(batch.tokens, batch.targets) for batch in batches]
    config = stored_config(path, contents)
    return MeasuredAnew(config, own.steps or 0, own.parameters, sequences, scores, _watched(own))


@torch.no_grad()
def _watched(own: OwnModel) -> dict[str, float]:
    """What callbacks would log of the examined sequences."""
    with torch.random.fork_rng(devices=()), observe(own.observed) as seen:
        torch.manual_seed(0)
        own.outputs(own.batch)
    lengths = own.token_lengths(own.batch)
    found: dict[str, float] = {}
    for each in MEASUREMENTS:
        if not getattr(seen, each.sees) or (
            each.compares_sequences and len(own.batch.tokens) < FEW
        ):
            continue
        numbers = logged(measured(each, seen, lengths))
        found |= {key: float(value) for key, value in numbers.items()}
    return found
