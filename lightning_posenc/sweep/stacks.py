"""Trials that differ in their seed alone, whose training is done together.

Each then runs as usual, from the checkpoint that this leaves it: it has nothing to train, tests,
and is recorded. Nothing else is kept of a group: one that is killed begins again, as a trial does.
"""

from collections.abc import Iterable, Sequence

from lightning_posenc.runs import strict_json
from lightning_posenc.sweep.definition import Definition
from lightning_posenc.sweep.trial import Trial

SEED = "seed_everything"


class Stacks:
    """Which trials are trained together, and which of them have been.

    Args:
        definition: The sweep.

    Raises:
        ValueError: If its trials cannot be chosen, or ended, but one by one.
    """

    def __init__(self, definition: Definition) -> None:
        for asked, what in (
            (definition.method == "bayes", "method: bayes chooses each trial by those before"),
            (definition.early_terminate, "early_terminate ends each trial by itself"),
        ):
            if asked:
                raise ValueError(f"--stack_seeds: {what}: leave one of the two out")
        if all(parameter.name != SEED for parameter in definition.parameters):
            raise ValueError(f"--stack_seeds: the sweep has no parameter {SEED}: give it values")
        self._tried: set[int] = set()
        self._shares: dict[int, float] = {}  # of the seconds that a group took

    def group(self, first: Trial, others: Iterable[Trial]) -> list[Trial]:
        """A trial with all others that differ in their seed alone; empty if there is none, or they
        have been tried.
        """
        if first.number in self._tried:
            return []
        alike = [each for each in others if each.number not in self._tried]
        group = [first, *(each for each in alike if _but_seed(each) == _but_seed(first))]
        return group if len(group) > 1 else []

    def ended(self, group: Sequence[Trial], seconds: float | None) -> None:
        """Take note of how long their training took together; None if it failed."""
        self._tried |= {each.number for each in group}
        if seconds is not None:
            self._shares |= {each.number: seconds / len(group) for each in group}

    def share(self, trial: Trial) -> float | None:
        """A trial's share of the seconds in which it was trained; None if it has not been."""
        return self._shares.get(trial.number)


def _but_seed(trial: Trial) -> str:
    others = {name: value for name, value in trial.parameters.items() if name != SEED}
    return strict_json.text(others, sort_keys=True, default=str)
