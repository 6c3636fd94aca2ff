"""The brute-force solvers of all tasks.

A solver reads one printed sequence at a time, in plain Python that shares no code with the
generator, and raises AssertionError where it disagrees.
"""

from lightning_posenc.tasks import Task
from lightning_posenc.testing.samples import Solver, solve, solve_sample
from tests.tasks.solvers import algorithmic, basic, formal, retrieval, structure

__all__ = ["Solver", "all_solvers", "solve", "solve_sample"]


def all_solvers() -> dict[str, tuple[Task, Solver]]:
    """A task and its solver, by name: each task of the package in one or more settings."""
    modules = [basic, retrieval, structure, algorithmic, formal]
    return {name: pair for module in modules for name, pair in module.SOLVERS.items()}
