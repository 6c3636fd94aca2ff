"""Which parameters does trial n get?"""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from lightning_posenc.sweep.definition import Definition
from lightning_posenc.sweep.parameters import nested
from lightning_posenc.sweep.trial import Point, Trial


class Search(ABC):
    """Chooses the parameters of trials, numbered from 0.

    Args:
        definition: The sweep.
        seed: Of what is drawn.
    """

    def __init__(self, definition: Definition, seed: int) -> None:
        self.space = definition.parameters
        self.metric = definition.metric
        self.seed = seed

    @property
    def size(self) -> int | None:
        """Number of trials that there can be, or None if there is no end."""
        return None

    @abstractmethod
    def point(self, number: int, trials: Iterable[Trial]) -> Point:
        """Where trial `number` lies: for each parameter the index of its value among its choices
        (int), or its quantile (float).

        Args:
            number: Of the trial, less than `size`.
            trials: All that were begun before.
        """

    def parameters(self, point: Point) -> dict[str, Any]:
        """The values at a point, nested blocks as dictionaries."""
        values = {}
        for parameter in self.space:
            at = point[parameter.name]
            whole = isinstance(at, int) and parameter.choices is not None
            values[parameter.path] = (
                parameter.choices[at] if whole else parameter.quantile(at)  # type: ignore[index]
            )
        return nested(values)


class GridSearch(Search):
    """Every combination, in the order of the file: the last parameter changes fastest."""

    @property
    def size(self) -> int:
        """Number of combinations."""
        return math.prod(len(parameter.choices or ()) for parameter in self.space)

    def point(self, number: int, trials: Iterable[Trial]) -> Point:
        point: Point = {}
        for parameter in reversed(self.space):
            number, point[parameter.name] = divmod(number, len(parameter.choices or ()))
        return point


class RandomSearch(Search):
    """Independent draws: each a function of seed, trial and the parameter's name alone."""

    def point(self, number: int, trials: Iterable[Trial]) -> Point:
        return {
            parameter.name: random.Random(f"{self.seed}/{number}/{parameter.name}").random()
            for parameter in self.space
        }
