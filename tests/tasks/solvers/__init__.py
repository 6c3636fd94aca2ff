"""The brute-force solvers of all tasks, and how to run them.

A solver reads one printed sequence at a time, in plain Python that shares no code with the
generator, and raises AssertionError where it disagrees.
"""

from collections.abc import Callable

import torch

from lightning_posenc.tasks import IGNORE, Sample, Task, generate
from tests.tasks.solvers import algorithmic, basic, formal, retrieval, structure

Solver = Callable[..., None]


def all_solvers() -> dict[str, tuple[Task, Solver]]:
    """A task and its solver, by name: each task of the package in one or more settings."""
    modules = [basic, retrieval, structure, algorithmic, formal]
    return {name: pair for module in modules for name, pair in module.SOLVERS.items()}


def solve(task: Task, solver: Solver, n: int, length: int, split: str = "train") -> None:
    """Hold n samples of one length against the solver."""
    solve_sample(task, solver, generate(task, 0, split, torch.arange(n), length))


def solve_sample(task: Task, solver: Solver, sample: Sample) -> None:
    """Hold each row of a sample, without its padding, against the solver."""
    rows = zip(sample.tokens.tolist(), sample.targets.tolist(), strict=True)
    for i, (tokens, targets) in enumerate(rows):
        n = len(tokens) if sample.lengths is None else int(sample.lengths[i])
        if isinstance(targets, list):
            assert set(targets[n:]) <= {IGNORE}, "padding is scored"
            targets = targets[:n]
        rest = [] if sample.positions is None else [sample.positions[i, :n].tolist()]
        solver(task, tokens[:n], targets, *rest)
