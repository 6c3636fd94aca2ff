"""What does attention cost at this length, and on which path is it computed?

Shapes: B sequences, H heads, T queries, S keys.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.subject import OwnModel, Subject
from lightning_posenc.model.kernels import SDPA, Eager, Kernel, Kernels, Operands

REPEATS = 3
N_TIMED = 8  # sequences
MOST_TIMED = 2048  # tokens of all of them, of another package's model
LONG_ENOUGH = 128  # tokens from which on time says something of its growth


class StepCost(NamedTuple):
    """Cost of a training step (of a forward pass, for a model that is not of this package).

    Args:
        path: What serves attention: one of the constants of this module; None if none was seen.
        seconds: By number of tokens, for N_TIMED sequences.
        exponent: Growth of the time: 1 linear, 2 quadratic; None below LONG_ENOUGH tokens.
        matrices: Bytes of the matrices (B, H, T, S) that are kept for the backward pass, for the
            whole model at the examined length; 0 on a fused path.
        sequences: B, sequences of a training batch.
    """

    path: str | None
    seconds: dict[int, float]
    exponent: float | None
    matrices: int
    sequences: int


FUSED = "fused"
FUSED_BIAS = "fused with a bias"
BY_ROWS = "for a few queries at a time, whose bias is read from a table"
LEARNED_BIAS = "materialised, since the bias learns"
MATERIALISED = "materialised"
PATHS = (FUSED, FUSED_BIAS, LEARNED_BIAS, BY_ROWS, MATERIALISED)
"""A model takes the last of those that its layers take."""


class AttentionCost(NamedTuple):
    """How one layer's attention is computed.

    Args:
        path: One of PATHS.
        matrices: Bytes of its matrices (B, H, T, S) that are kept for the backward pass.
    """

    path: str
    matrices: int


def taken_by(operands: Operands, sequences: int, kernels: Kernels | None = None) -> AttentionCost:
    """What serves these operands.

    Args:
        operands: One layer's.
        sequences: B of a training batch.
        kernels: The model's; None for others' models, whose attention is fused where it can be.
    """
    kernel = (Kernels(SDPA()) if kernels is None else kernels).serving(operands)
    matrix = 4 * sequences * math.prod(operands.shape[1:])
    return AttentionCost(_path(kernel, operands), matrix if kernel.materialises(operands) else 0)


def measure_cost(subject: Subject, taken: Sequence[AttentionCost]) -> StepCost:
    """Time the model at T/2 and at T, and sum up what its layers take."""
    sequences = sequences_of(subject)
    path = max((each.path for each in taken), key=PATHS.index, default=None)
    length = subject.length if isinstance(subject, OwnModel) else min(subject.length, MOST_TIMED)
    # A part of a grid is no grid.
    gridded = isinstance(subject, OwnModel) and subject.grid is not None
    seconds = {
        n: _time(subject, n) for n in sorted({length if gridded else max(length // 2, 1), length})
    }
    (short, a), *longer = seconds.items()
    grows = longer and length >= LONG_ENOUGH
    exponent = math.log(longer[0][1] / a) / math.log(longer[0][0] / short) if grows else None
    return StepCost(path, seconds, exponent, sum(each.matrices for each in taken), sequences)


def sequences_of(subject: Subject) -> int:
    """Sequences of a training batch; of another package's model those that are examined."""
    if not isinstance(subject, OwnModel):
        return len(subject.batch.tokens)
    return subject.of_a_batch or len(subject.batches[0].tokens)


def _path(kernel: Kernel, operands: Operands) -> str:
    """How a kernel computes the attention of these operands."""
    if kernel.materialises(operands):
        return MATERIALISED if isinstance(kernel, Eager) else LEARNED_BIAS
    if operands.bias is None:
        return FUSED
    tabled = not isinstance(operands.bias, Tensor) and isinstance(kernel, SDPA)
    return BY_ROWS if tabled else FUSED_BIAS


def _time(subject: Subject, length: int) -> float:
    own = isinstance(subject, OwnModel)
    batch = subject.batch.first(N_TIMED if own else max(1, min(N_TIMED, MOST_TIMED // length)))
    tokens = batch.tokens[:, :length]

    def step() -> None:
        if not isinstance(subject, OwnModel):
            with torch.no_grad():
                subject.outputs(batch._replace(tokens=tokens))
            return
        if subject.vocab_size is None:
            return _step_of_made_tokens(subject, batch, length)
        positions = None if batch.positions is None else batch.positions[:, :length]
        short = batch._replace(tokens=tokens, lengths=None, documents=None, positions=positions)
        states = subject.module.encode(tokens, short)
        # Through all layers, down to the embedding; or as far as anything is trained.
        parts = (subject.embedding, subject.encoder)
        weights = ([p for p in part.parameters() if p.requires_grad] for part in parts)
        if wanted := next(filter(None, weights), None):
            torch.autograd.grad(states.sum(), wanted, allow_unused=True)

    return _fastest(step)


def _step_of_made_tokens(subject: OwnModel, batch: Batch, length: int) -> None:
    """Of patches or frames, whose first tokens are timed."""
    x, places, _ = subject.module.embedded(batch.tokens, batch)
    if isinstance(places, Tensor):
        places = places[:, :length]
    x = x if x.requires_grad else x.requires_grad_()  # what makes the tokens may be frozen
    states = subject.encoder(x[:, :length], positions=places)
    torch.autograd.grad(states.sum(), x)


def _fastest(step: Callable[[], None]) -> float:
    step()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)
