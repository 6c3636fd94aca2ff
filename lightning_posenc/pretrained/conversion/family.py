"""A family of Hugging Face's: its names, its config, and when an encoder is of its wiring."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from lightning_posenc.modules import EncoderModule, LanguageModel
from lightning_posenc.modules.heads import HEAD_STD
from lightning_posenc.pretrained.conversion.heads import Head
from lightning_posenc.pretrained.conversion.rows import Pairing, by_layer, ours_of, theirs_of
from lightning_posenc.pretrained.conversion.wiring import Check, Wiring, problems

_OF_HEAD = ("head.", "head_bias.", "transform.")


class Family(ABC):
    """One wiring, under the names of one or several families of Hugging Face's."""

    name: ClassVar[str]
    """What errors call it."""
    reads: ClassVar[tuple[str, ...]]
    """The `model_type` of the configs that it reads."""
    heads: ClassVar[Mapping[str, Head]]
    """By how the names of their classes end: ForCausalLM, ForTokenClassification, …"""
    checks: ClassVar[tuple[Check, ...]]
    """When an encoder of ours is of this wiring."""
    unread: ClassVar[tuple[str, ...]] = ()
    """What of theirs has no part in the states: words in the names."""
    last_norm: ClassVar[str] = "encoder.norm"
    """Ours before a head that is the token embedding."""

    @abstractmethod
    def rows(self, config: Any) -> list[Pairing]:
        """The table of names; theirs as within their encoder alone."""

    @abstractmethod
    def arguments(self, config: Any) -> dict[str, Any]:
        """The arguments of an `EncoderModule` that a config says, but those of its head.

        Raises:
            ValueError: Naming what has no counterpart.
        """

    @abstractmethod
    def config(self, wiring: Wiring) -> dict[str, Any]:
        """The config of a model that has passed the checks, with its `model_type`.

        Raises:
            ValueError: Naming what has no spelling.
        """

    def read(self, model: Any, kind: type[EncoderModule] | None, **arguments: Any) -> EncoderModule:
        """Make a module of ours of a loaded model of this family.

        Args:
            model: Theirs.
            kind: The class of ours; None for that of the model's own head. Where the model has
                another head, ours starts anew.
            arguments: Of the class, above those that the config says.

        Raises:
            ValueError: If the model has what we have not.
        """
        head = self._head_of(type(model).__name__)
        if kind is None and head is None:
            raise ValueError(
                f"{type(model).__name__} has no head that is known here: name a class for a new "
                "one, as in from_pretrained(folder, SequenceClassifier, n_classes=2)"
            )
        if head is not None and kind not in (None, head.module):
            head = None
        of_head = head.arguments(model.config) if head else {}
        made = {"vocab_size": getattr(model.config, "vocab_size", None)}
        made |= self.arguments(model.config) | of_head | arguments
        maker: Any = kind or (head and head.module)
        if issubclass(maker, LanguageModel):  # whose objective says it
            is_causal = made.pop("causal")
            made.setdefault("objective", "causal" if is_causal else "masked")
        module: EncoderModule = maker(**made).eval()
        self._load(module, model, head)
        return module

    def write(self, wiring: Wiring) -> Any:
        """Make a model of theirs of a model of ours that is of this wiring.

        Raises:
            ValueError: If an option or a weight of ours has no counterpart.
        """
        import transformers

        if wrong := self.problems(wiring):
            raise ValueError(wrong[0])
        end, head = self._head_for(wiring.module)  # type: ignore[misc]
        said = self.config(wiring) | wiring.tokens_and_labels
        config = transformers.AutoConfig.for_model(said.pop("model_type"), **said)
        prefix = type(config).__name__.removesuffix("Config")
        model = getattr(transformers, prefix + end)(config).eval()
        template = model.state_dict()
        rows = self._table(model, head)
        made, read = theirs_of(rows, self._before_a_tied_head(wiring), template)
        if left := sorted(wiring.state.keys() - read):
            raise ValueError(f"{self.name}: {left[0]} has no counterpart there")
        tied = set(model.all_tied_weights_keys)
        for name in template.keys() - made.keys() - tied:  # what ours may be without
            neutral = 0.0 if name.endswith("bias") else 1.0
            made[name] = template[name].new_full((), neutral)
            made[name] = made[name].expand(template[name].shape)
        model.load_state_dict(made, strict=False)
        model.tie_weights()
        return model

    def problems(self, wiring: Wiring) -> list[str]:
        """Which options of a model are in the way, and what to set; none if none is."""
        found = problems(self.checks, wiring)
        if (of_kind := self._head_for(wiring.module)) is None:
            kind = f"{type(wiring.module).__name__} {getattr(wiring.module, 'objective', '')}"
            return [*found, f"model={kind.rstrip()}: {self.name} has no such head"]
        found += problems(of_kind[1].checks, wiring)
        if not found:
            try:
                self.config(wiring)
            except ValueError as error:
                found.append(str(error))
        return found

    def _table(self, model: Any, head: Head | None) -> list[Pairing]:
        inside = "" if model.base_model is model else f"{model.base_model_prefix}."
        rows = [row.within(inside) for row in self.rows(model.config)]
        return by_layer([*rows, *(head.rows if head else ())], model.config.num_hidden_layers)

    def _load(self, module: EncoderModule, model: Any, head: Head | None) -> None:
        theirs, template = model.state_dict(), module.state_dict()
        made, read = ours_of(self._table(model, head), theirs, template)
        tied = set(model.all_tied_weights_keys)
        of_body = "" if head or model.base_model is model else f"{model.base_model_prefix}."
        for name in sorted(theirs.keys() - read - tied):
            if name.startswith(of_body) and not self._is_idle(name, theirs[name]):
                raise ValueError(f"{type(model).__name__}: {name} has no counterpart here")
        for name in sorted(template.keys() - made.keys()):
            if head or not name.startswith(_OF_HEAD):
                raise ValueError(f"{type(model).__name__} has nothing for {name} of ours")
        module.load_state_dict(made, strict=False)

    def _is_idle(self, name: str, value: Tensor) -> bool:
        return any(word in name for word in self.unread) or (
            name.endswith("bias") and not value.any()
        )

    def _head_of(self, name: str) -> Head | None:
        ends = [end for end in self.heads if name.endswith(end)]
        return self.heads[max(ends, key=len)] if ends else None

    def _head_for(self, module: EncoderModule) -> tuple[str, Head] | None:
        return next((item for item in self.heads.items() if item[1].is_of(module)), None)

    def _before_a_tied_head(self, wiring: Wiring) -> dict[str, Tensor]:
        """Our weights, the factor before a tied head in the norm before it."""
        state, module = dict(wiring.state), wiring.module
        if not isinstance(module, LanguageModel) or module.head is not None:
            return state
        for end in (".weight", ".bias"):
            if (name := self.last_norm + end) in state:
                state[name] = state[name] * module.tied_scale
        if self.last_norm + ".weight" not in state and module.tied_scale != 1:
            raise ValueError(f"encoder.norm without weights: set encoder.embed_std={HEAD_STD}")
        return state


def demand(config: Any, **wanted: Any) -> None:
    """Check that options of a config, where it has them, have the one value that we know.

    Raises:
        ValueError: Naming the first that has not.
    """
    for name, value in wanted.items():
        found = getattr(config, name, value)
        if found != value:
            raise ValueError(
                f"{config.model_type}: {name}={found} has no counterpart here, only {value}"
            )
