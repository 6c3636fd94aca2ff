"""What a module knows of the data that it was trained on, outside the command line.

Class 2 and token 7 are numbers to a module. Data of another file may number its classes, words or
pieces otherwise: what evaluates it must read it as training did.
"""

from collections.abc import Mapping
from typing import Any

from lightning_posenc.data.meaning import FORMAT, described, state_of
from lightning_posenc.data.remembered import RememberedData
from lightning_posenc.data.saying import say


class KnownData:
    """The state of a data module, from a checkpoint or from training in this process."""

    def __init__(self) -> None:
        self._states: dict[str, Any] = {}  # by the class of the data, as in a checkpoint
        self._is_here = False  # whether it was trained on in this process
        self._refusal: ValueError | None = None

    def learn(self, checkpoint: Mapping[str, Any]) -> None:
        """Take what a checkpoint says; what was known before belongs to other weights."""
        self._states = {
            name: state
            for name, state in checkpoint.items()
            if isinstance(state, dict) and FORMAT in state
        }
        self._is_here, self._refusal = False, None

    def trained_on(self, data: object) -> None:
        """Remember data whose training has ended."""
        if isinstance(data, RememberedData):
            self._states, self._is_here = {type(data).__qualname__: data.state_dict()}, True

    def hand_on(self, data: object) -> None:
        """Let data that is to be evaluated be read as in training.

        What cannot be is refused by `check`, since the weights may yet be those of a checkpoint.
        """
        self._refusal = None
        if not isinstance(data, RememberedData):
            return
        try:
            state = state_of(self._states, type(data))
            if state is not None and not (self._is_here and _is_same(data, state)):
                data.adopt(state)
        except ValueError as error:
            self._refusal = error

    def check(self) -> None:
        """Refuse to evaluate.

        Raises:
            ValueError: If the data's numbers mean other things.
        """
        if self._refusal is not None:
            raise self._refusal

    def compare(self, data: object) -> None:
        """Say it where training begins on data whose numbers mean other things."""
        if not isinstance(data, RememberedData):
            return
        state = self._states.get(type(data).__qualname__)
        if state is not None and state["meaning"] != data.meaning():
            say(
                "beware: the weights were trained on data whose words or classes were numbered "
                "otherwise: where they are to keep their meaning, call data.adopt(checkpoint["
                f"{type(data).__qualname__!r}]) before training"
            )


def _is_same(data: RememberedData, state: Mapping[str, Any]) -> bool:
    return bool(described(data.options()) == state["options"])
