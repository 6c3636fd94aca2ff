"""What a checkpoint remembers of its data, so that its numbers keep their meaning."""

from collections.abc import Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, ClassVar

import lightning as L
import torch

from lightning_posenc.data.meaning import (
    FORMAT,
    VERSION,
    described,
    differences,
    plain_options,
    state_of,
)
from lightning_posenc.data.saying import say


class RememberedData(L.LightningDataModule):
    """Data of which a checkpoint keeps what matters to a model that was trained on it.

    That is what the numbers mean (`meaning`), the options, and what the order of the samples
    depends on (`stream`). Data that takes this over by `adopt`, as it does wherever a checkpoint is
    loaded, uses the checkpoint's meaning in place of its own.
    """

    length_axis: ClassVar[str] = "length"  # what `eval_lengths` are, to be read by a person
    learns: ClassVar[bool] = False  # whether the numbers' meaning depends on what the data holds

    def __init__(self) -> None:
        super().__init__()
        self._adopted: dict[str, Any] | None = None
        self._lengths: tuple[int, int] | None = None  # the checkpoint's

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Make data as that of a checkpoint was, which reads as it did.

        Args:
            checkpoint_path: a file that `fit` or a Trainer has written.
            map_location: nothing: no tensor is read.
            hparams_file: nothing: the options are in the checkpoint.
            weights_only: nothing: only plain values are read.
            kwargs: options to be other ones, such as `path`; those that are objects, as a task is,
                must be given.

        Raises:
            ValueError: if the checkpoint keeps no data, or of another class.
        """
        contents = torch.load(checkpoint_path, "cpu", weights_only=True, mmap=True)
        state = state_of(contents, cls)
        if state is None:
            raise ValueError(
                f"{checkpoint_path} does not say what its numbers mean (an earlier release, or "
                f"other data, made it): make {cls.__name__} by its arguments"
            )
        known = arguments_of(cls)
        options = {k: v for k, v in plain_options(state).items() if k in known}
        made = cls(**(options | kwargs))
        now = described(made.options())
        for name, value in state["options"].items():
            if name not in options | kwargs and now.get(name, value) != value:
                raise ValueError(
                    f"{cls.__name__}.load_from_checkpoint: give {name}=…, an object, which no "
                    f"checkpoint keeps: it was {value.get('class') if value else value}"
                )
        made.adopt(state)
        return made

    def options(self) -> dict[str, Any]:
        """What the user chose, by the names of the constructor's arguments."""
        return {}

    def meaning(self) -> dict[str, Any]:
        """What the numbers of a batch mean, in plain values."""
        return {}

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Use another's meaning from now on.

        Args:
            meaning: what `meaning` returned there.
            options: what `options` returned there, described.

        Raises:
            ValueError: if the two cannot go together.
        """

    def order(self) -> dict[str, Any]:
        """The options that the order of the training samples depends on; going on from a
        checkpoint with another value would skip samples or repeat them.
        """
        return {}

    def stream(self) -> dict[str, Any]:
        """All that the order of the training samples depends on: what the data holds, too."""
        return self.order()

    def check_order(self, state: Mapping[str, Any]) -> None:
        """Compare the options with those of a run to be resumed, before anything is read.

        Raises:
            ValueError: if samples would be skipped or repeated.
        """
        self._compare(self.order(), state["stream"])

    @property
    def trained_lengths(self) -> tuple[int, int] | None:
        """Shortest and longest length that the model has been trained on, the checkpoint's if there
        is one; None if the data does not say.
        """
        return self._own_lengths() if self._lengths is None else self._lengths

    def _own_lengths(self) -> tuple[int, int] | None:
        return None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain values, which `weights_only` loads."""
        return {
            FORMAT: VERSION,
            "options": described(self.options()),
            "meaning": self.meaning(),
            "lengths": described(self._own_lengths()),
            "stream": self.stream(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what a checkpoint keeps; where training goes on, say what differs.

        Raises:
            ValueError: if the data cannot go with the checkpoint, or if going on with it would
                skip or repeat samples.
        """
        if FORMAT not in state:
            return
        self.adopt(state)
        if self._fits:
            self._go_on(state)

    def adopt(self, state: dict[str, Any]) -> None:
        """Let numbers mean what they mean to a checkpoint, from now on.

        Args:
            state: what `state_dict` returned in training.

        Raises:
            ValueError: if this data cannot be read so.
        """
        if state != self._adopted:
            try:
                self.take_over(state["meaning"], state["options"])
            except (AttributeError, LookupError, TypeError) as error:
                raise ValueError(
                    f"what the checkpoint says of its data is not as fit writes it "
                    f"({type(error).__name__}: {error}): take another checkpoint"
                ) from error
            self._adopted = state
            low_and_high = state["lengths"]
            self._lengths = None if low_and_high is None else tuple(low_and_high)

    def predicted(self, row: int, classes: Any, probabilities: Any) -> dict[str, Any]:
        """What there is to say of a row's prediction, in plain values.

        Args:
            row: its number, from 0.
            classes: the class, or a list of those of its tokens.
            probabilities: a list: of all classes, or of each token's; None if they are not known.
        """
        return in_numbers(classes, probabilities)

    @property
    def _fits(self) -> bool:
        return self.trainer is not None and self.trainer.state.fn == "fit"

    @property
    def _predicts(self) -> bool:
        """Whether a checkpoint's model is to tell what nobody needs to know yet."""
        if self._adopted is None or self.trainer is None:
            return False
        return self.trainer.state.fn == "predict"

    def _go_on(self, state: Mapping[str, Any]) -> None:
        """Compare with the run that is resumed."""
        self._compare(self.stream(), state["stream"])
        for line in differences(described(self.options()), state["options"]):
            say(line)
        self._lengths = None  # it trains on those of its own from here on

    def _compare(self, now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
        for name, value in now.items():
            if then.get(name, value) != value:
                raise ValueError(self._cannot_resume(name, value, then[name]))

    def _cannot_resume(self, name: str, now: Any, then: Any) -> str:
        return (
            f"cannot resume with {name}={now}: the checkpoint was trained with {then}; "
            f"resume with {then} or start a new run"
        )


def arguments_of(kind: type) -> set[str]:
    """The names of a constructor's arguments, with those that it hands on to its bases."""
    found: set[str] = set()
    for parent in kind.__mro__:
        if "__init__" in vars(parent):
            _, *arguments = signature(vars(parent)["__init__"]).parameters.values()
            found |= {each.name for each in arguments if each.kind is not Parameter.VAR_KEYWORD}
            if all(each.kind is not Parameter.VAR_KEYWORD for each in arguments):
                break
    return found


def in_numbers(classes: Any, probabilities: Any) -> dict[str, Any]:
    """What there is to say of a prediction where classes have no names."""
    shares = {} if probabilities is None else {"probabilities": probabilities}
    return {"prediction": classes, **shares}


def in_names(names: Sequence[str], classes: Any, probabilities: Any) -> dict[str, Any]:
    """The same where classes have names, and a row one class."""
    if not isinstance(classes, int) or classes >= len(names):
        return in_numbers(classes, probabilities)
    if probabilities is not None:
        probabilities = dict(zip(names, probabilities, strict=True))
    return in_numbers(names[classes], probabilities)
