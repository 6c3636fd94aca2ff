"""The brute-force solvers of all tasks that came with one, and how to run them."""

from collections.abc import Callable
from typing import Any

import torch

from lightning_posenc.tasks import Task, generate
from tests.tasks import test_algorithmic, test_formal, test_retrieval, test_structure

Solver = Callable[..., None]


def all_solvers() -> dict[str, tuple[Task, Solver]]:
    """A task and its solver, by name. A solver raises AssertionError where it disagrees."""
    modules: list[Any] = [test_algorithmic, test_formal, test_retrieval, test_structure]
    return {name: pair for module in modules for name, pair in module.SOLVERS.items()}


def solve(task: Task, solver: Solver, n: int, length: int, split: str = "train") -> None:
    """Hold n samples of one length against the solver."""
    sample = generate(task, 0, split, torch.arange(n), length)
    for i, row in enumerate(zip(sample.tokens.tolist(), sample.targets.tolist(), strict=True)):
        solver(task, *row, *([] if sample.positions is None else [sample.positions[i].tolist()]))
