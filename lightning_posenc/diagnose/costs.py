"""What does attention cost at this length, and on which path is it computed?

Shapes: B sequences, H heads, T queries, S keys.
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from lightning_posenc.diagnose.subject import OwnModel, Subject
from lightning_posenc.model.kernels import SDPA, Eager, Kernel, Kernels, Operands
from lightning_posenc.positional.by_distance import ByDistance

REPEATS = 3
N_TIMED = 8  # sequences
LONG_ENOUGH = 128  # tokens from which on time says something of its growth


class StepCost(NamedTuple):
    """Cost of a training step (of a forward pass, for a model that is not of this package).

    Args:
        path: What serves attention: one of the constants of this module.
        seconds: By number of tokens, for N_TIMED sequences.
        exponent: Growth of the time: 1 linear, 2 quadratic; None below LONG_ENOUGH tokens.
        matrices: Bytes of the matrices (B, H, T, S) that are kept for the backward pass, for the
            whole model at the examined length; 0 on a fused path.
        sequences: B, sequences of a training batch.
    """

    path: str
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


def measure_cost(subject: Subject, seen: list[Operands]) -> StepCost:
    """Find the path from what was observed, and time the model at T/2 and at T."""
    trained = isinstance(subject, OwnModel)
    own = next((each for each in subject.observed.modules() if isinstance(each, Kernels)), None)
    kernels = Kernels(SDPA()) if own is None else own  # others' attention is fused where it can be
    taken = [(kernels.serving(operands), operands) for operands in seen]
    path = max((_path(*each) for each in taken), key=PATHS.index, default=FUSED)
    sequences = len(subject.batches[0].tokens) if trained else len(subject.batch.tokens)  # type: ignore[attr-defined]
    matrices = sum(
        4 * sequences * math.prod(operands.shape[1:])
        for kernel, operands in taken
        if kernel.materialises(operands)
    )
    seconds = {n: _time(subject, n) for n in sorted({max(subject.length // 2, 1), subject.length})}
    (short, a), *longer = seconds.items()
    grows = longer and subject.length >= LONG_ENOUGH
    exponent = math.log(longer[0][1] / a) / math.log(longer[0][0] / short) if grows else None
    return StepCost(path, seconds, exponent, matrices, sequences)


def _path(kernel: Kernel, operands: Operands) -> str:
    """How a kernel computes the attention of these operands."""
    if kernel.materialises(operands):
        return MATERIALISED if isinstance(kernel, Eager) else LEARNED_BIAS
    if operands.bias is None:
        return FUSED
    tabled = isinstance(operands.bias, ByDistance) and isinstance(kernel, SDPA)
    return BY_ROWS if tabled else FUSED_BIAS


def _time(subject: Subject, length: int) -> float:
    batch = subject.batch.first(N_TIMED)
    tokens = batch.tokens[:, :length]

    def step() -> None:
        if not isinstance(subject, OwnModel):
            with torch.no_grad():
                subject.outputs(batch._replace(tokens=tokens))
            return
        positions = None if batch.positions is None else batch.positions[:, :length]
        short = batch._replace(tokens=tokens, lengths=None, documents=None, positions=positions)
        states = subject.module.encode(tokens, short)
        torch.autograd.grad(states.sum(), subject.embedding.weight)

    return _fastest(step)


def _fastest(step: Callable[[], None]) -> float:
    step()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)
