"""What a way of extending a trained model's context is."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from lightning_posenc.positions.paper import Paper
from lightning_posenc.pretrained.frequencies import FrequencyMap, frequency_maps
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.pretrained.where_positions import (
    Buckets,
    InRotation,
    InTable,
    Slopes,
    Unknown,
    what_positions,
)

_OTHERS = {
    InTable: "a learned table",
    Slopes: "slopes of distance (ALiBi)",
    Buckets: "buckets of distances (T5)",
}


class Method(ABC):
    """Makes a model that was trained on L tokens read `to` tokens, `to` at least L.

    Its arguments are its configuration; a model is changed within `applied` only.
    """

    name: ClassVar[str]  # as a command takes it
    source: ClassVar[Paper | None] = None
    by_length: ClassVar[bool] = False  # whether the first tokens depend on how many follow

    @abstractmethod
    def refuses(self, pretrained: Pretrained, to: int) -> str | None:
        """Why it cannot be applied to this model; None if it can.

        Args:
            pretrained: As it was read.
            to: In tokens; of models of images, the side in pixels.
        """

    @abstractmethod
    def applied(self, pretrained: Pretrained, to: int) -> AbstractContextManager[None]:
        """Change the loaded model within the context, and put it back.

        Raises:
            ValueError: If it refuses.
        """

    @abstractmethod
    def cannot_be_saved(self, pretrained: Pretrained, to: int) -> str | None:
        """Why a plain checkpoint cannot hold what `applied` does; None if it can."""

    @abstractmethod
    def spelling(self, pretrained: Pretrained, to: int) -> dict[str, Any]:
        """What changes in the config, by which Hugging Face itself does what `applied` does.

        Raises:
            ValueError: If it refuses, or cannot be saved.
        """

    def frequencies(self, pretrained: Pretrained, to: int) -> dict[str, FrequencyMap]:
        """The maps that a model has at rest which is saved so, by layer type."""
        return frequency_maps(pretrained.model)

    def fitted(
        self, pretrained: Pretrained, to: int, tokens: Tensor, memory: Path | None = None
    ) -> "Method":
        """Find what it needs to know of a model; most need nothing and give themselves.

        Args:
            pretrained: As it was read.
            to: As in `applied`.
            tokens: Sequences (B, to) to find it on, which no result may be reported on.
            memory: File that holds what was found so far, so that it goes on where it was.
        """
        return self

    def check(self, pretrained: Pretrained, to: int, saved: bool = False) -> None:
        """Raise ValueError with the reason where the method refuses, or cannot be saved."""
        if (reason := self.refuses(pretrained, to)) is not None:
            raise ValueError(f"{self.name}: {reason}")
        if saved and (reason := self.cannot_be_saved(pretrained, to)) is not None:
            raise ValueError(f"{self.name} cannot be saved: {reason}")


def rotary(pretrained: Pretrained) -> InRotation:
    """What a model that `not_rotary` says nothing against turns by."""
    where = what_positions(pretrained.model)
    assert isinstance(where, InRotation)
    return where


def trained_length(pretrained: Pretrained) -> int:
    """L of a model that `not_rotary` says nothing against."""
    length = rotary(pretrained).trained_length
    assert length is not None
    return length


def not_rotary(pretrained: Pretrained, to: int) -> str | None:
    """Why a model's rotary frequencies cannot be changed for `to` tokens; None if they can."""
    where = what_positions(pretrained.model)
    if isinstance(where, Unknown):
        return where.reason
    if not isinstance(where, InRotation):
        return f"it knows order by {_OTHERS[type(where)]}, not by rotation"
    if where.trained_length is None:
        return f"its trained length is not known: {where.inferred_from}"
    return too_short(to, where.trained_length)


def too_few_pairs(pretrained: Pretrained) -> str | None:
    """Why no other base slows the slowest pair down and keeps the fastest; None if one does."""
    fewest = min(len(each.inv_freq) for each in rotary(pretrained).maps.values())
    return None if fewest > 1 else "it has one pair of channels that turns, and two are needed"


def too_short(to: int, trained_length: int) -> str | None:
    """Why a length is none to extend to."""
    if to >= trained_length:
        return None
    return f"to={to} is less than the {trained_length} that the model was trained on"
