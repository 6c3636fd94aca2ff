"""What the rows of a study are about: methods, and the same after some training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from lightning_posenc.extend.records import file_name
from lightning_posenc.extend.spelled import Spelled
from lightning_posenc.pretrained.methods.base import Method
from lightning_posenc.pretrained.where_positions import InRotation, what_positions

if TYPE_CHECKING:
    from lightning_posenc.pretrained.evaluating.texts import Text
    from lightning_posenc.pretrained.reading import Pretrained

SEARCHES = "searches"  # folder of what methods found out on a text, within a study's directory
WEIGHTS = "weights"  # folder of weights that were trained, likewise
_BY_LENGTH = ("dynamic", "longrope")  # types of map that read the present length


class Ready(NamedTuple):
    """A model, and the method that is put in place while it runs."""

    pretrained: "Pretrained"
    method: Method

    @property
    def by_length(self) -> bool:
        """Whether what the model does at a place depends on how long the whole text is."""
        where = what_positions(self.pretrained.model)
        reads_length = isinstance(where, InRotation) and any(
            each.kind in _BY_LENGTH for each in where.maps.values()
        )
        return self.pretrained.kind != "causal" or self.method.by_length or reads_length


class Contender(Protocol):
    """A method, fine-tuned or not."""

    @property
    def name(self) -> str:
        """Of its row."""

    @property
    def of(self) -> str:
        """The method, as it was typed."""

    def refuses(self, pretrained: "Pretrained", to: int) -> str | None:
        """Say why it cannot be had, or None."""

    def cannot_be_saved(self, pretrained: "Pretrained", to: int) -> str | None:
        """Say why no plain checkpoint can hold it, or None."""

    @property
    def needs_text(self) -> bool:
        """Whether it is not to be had again without what was searched or trained on."""

    def ready(self, pretrained: "Pretrained", to: int) -> Ready:
        """Find out, or train, what it needs, unless that was done before."""


class AsItIs:
    """A method, without training; what it must find out on a text, it does when first used.

    Args:
        spelled: The method, and the name of its row.
        training: Texts of which nothing is evaluated.
        out: The study's directory.
    """

    def __init__(
        self, spelled: Spelled, training: "Sequence[Text]" = (), out: Path | None = None
    ) -> None:
        self.name, self.method = spelled
        self.training = training
        self.out = out

    @property
    def of(self) -> str:
        return self.name

    def refuses(self, pretrained: "Pretrained", to: int) -> str | None:
        if (reason := self.method.refuses(pretrained, to)) is not None:
            return reason
        if self.needs_text and not any(text.holds(to) for text in self.training):
            return (
                f"it searches on a text of {to:,} tokens that is not evaluated, and there is none: "
                "give --train_text FILE, or fewer --sequences"
            )
        return None

    def cannot_be_saved(self, pretrained: "Pretrained", to: int) -> str | None:
        return self.method.cannot_be_saved(pretrained, to)

    def ready(self, pretrained: "Pretrained", to: int) -> Ready:
        if self.needs_text:
            text = next(text for text in self.training if text.holds(to))
            memory = None if self.out is None else self.out / SEARCHES / file_name(self.name)
            self.method = self.method.fitted(pretrained, to, text.windows(to, 1), memory)
        return Ready(pretrained, self.method)

    @property
    def needs_text(self) -> bool:
        return type(self.method).fitted is not Method.fitted


class Finetuned:
    """A method under which the model was trained on for some steps, at the trained length.

    Args:
        before: The method.
        steps: Of the training, at least 1.
        seed: Of the training.
        tell: Hears of every step: how many were made, and the loss.
        rate: Peak of the learning rate; None for that of `finetune`.
    """

    def __init__(
        self, before: AsItIs, steps: int, seed: int, tell: Callable[[int, float], object],
        rate: float | None = None,
    ) -> None:  # fmt: skip
        self.before = before
        self.steps = steps
        self.seed = seed
        self.tell = tell
        self.rate = rate
        self._trained: Pretrained | None = None

    @property
    def name(self) -> str:
        at = "" if self.rate is None else f" at {self.rate:g}"
        return f"{self.before.name} + {self.steps} steps{at}"

    @property
    def of(self) -> str:
        return self.before.name

    def refuses(self, pretrained: "Pretrained", to: int) -> str | None:
        if (reason := self.before.refuses(pretrained, to)) is not None:
            return reason
        trained = what_positions(pretrained.model).trained_length or to
        if not all(text.holds(trained) for text in self.before.training):
            return (
                f"it trains on {trained:,} tokens of each text that are not evaluated, and there "
                "are fewer: give --train_text FILE, or fewer --sequences"
            )
        return None

    def cannot_be_saved(self, pretrained: "Pretrained", to: int) -> str | None:
        return self.before.cannot_be_saved(pretrained, to)

    @property
    def needs_text(self) -> bool:
        return True

    def ready(self, pretrained: "Pretrained", to: int) -> Ready:
        from lightning_posenc.pretrained.adapting.finetuning import RATE, finetune

        _, method = self.before.ready(pretrained, to)
        if self._trained is None:
            self._trained = self._kept(pretrained)
        if self._trained is None:
            self._trained = finetune(
                pretrained, method, to, self.before.training, self.steps, seed=self.seed,
                rate=self.rate or RATE, tell=self.tell,
            )  # fmt: skip
            self._keep(pretrained, self._trained)
        return Ready(self._trained, method)

    @property
    def _place(self) -> Path | None:
        out = self.before.out
        return None if out is None else out / WEIGHTS / f"{file_name(self.name)}.safetensors"

    def _keep(self, pretrained: "Pretrained", trained: "Pretrained") -> None:
        """Write the weights that the training has changed."""
        from safetensors.torch import save

        from lightning_posenc.runs.whole_files import write_whole

        if self._place is None:
            return
        was = dict(pretrained.model.named_parameters())
        changed = {
            name: parameter.detach().cpu().contiguous()
            for name, parameter in trained.model.named_parameters()
            if not torch.equal(parameter, was[name])
        }
        write_whole(self._place, save(changed))

    def _kept(self, pretrained: "Pretrained") -> "Pretrained | None":
        """The model with the weights of an earlier start, if there are any."""
        from dataclasses import replace

        from safetensors.torch import load_file

        from lightning_posenc.pretrained.adapting.finetuning import twin

        if self._place is None or not self._place.exists():
            return None
        model = twin(pretrained.model)
        parameters = dict(model.named_parameters())
        for name, weight in load_file(self._place).items():
            if name not in parameters or parameters[name].shape != weight.shape:
                raise ValueError(f"{self._place} holds another model's weights: remove it")
            parameters[name].data = weight.to(parameters[name])  # what it shared stays as it was
        return replace(pretrained, model=model)
