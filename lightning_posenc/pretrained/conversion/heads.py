"""What classes of Hugging Face's add to an encoder, and which of our modules that is."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from lightning_posenc.modules import (
    EncoderModule,
    LanguageModel,
    SequenceClassifier,
    TokenClassifier,
)
from lightning_posenc.pretrained.conversion.rows import Pairing
from lightning_posenc.pretrained.conversion.wiring import Check, Wiring, is_made_of, is_value


class Head(NamedTuple):
    """A class of theirs, but for its encoder.

    Args:
        module: The class of ours.
        rows: The names of its weights.
        arguments: Those of our class, by their config.
        checks: What a module of ours must be like to be written so.
        objective: That of a `LanguageModel`; None for any.
    """

    module: type[EncoderModule]
    rows: tuple[Pairing, ...]
    arguments: Callable[[Any], dict[str, Any]]
    checks: tuple[Check, ...] = ()
    objective: str | None = None

    def is_of(self, module: EncoderModule) -> bool:
        """Whether a module of ours has such a head."""
        its = getattr(module, "objective", None)
        return isinstance(module, self.module) and self.objective in (None, its)


def has_transform(kind: type[nn.Module]) -> Check:
    """What stands before the head must be of a class."""
    return is_made_of("transform", lambda w: w.transform, kind)


def pools(which: str) -> Check:
    """The head must look at the first token, or at the last."""
    return is_value("pooling", lambda w: w.module.pooling, which)


def classes(config: Any) -> dict[str, Any]:
    """The arguments of a classifier that a config says."""
    return {"n_classes": config.num_labels, "vocab_size": getattr(config, "vocab_size", None)}


def _has_bias(wiring: Wiring) -> bool:
    module: Any = wiring.module
    if module.head is None:
        return not isinstance(module.head_bias, nn.Identity)
    return module.head.bias is not None


def _scores_next(config: Any) -> dict[str, Any]:
    tied = bool(config.tie_word_embeddings)
    return {"vocab_size": config.vocab_size, "objective": "causal", "tie_weights": tied}


PLAIN = has_transform(nn.Identity)
UNBIASED = is_value("head_bias", _has_bias, False)

NEXT_TOKEN = Head(
    LanguageModel, (Pairing("head", "lm_head"),), _scores_next, (PLAIN, UNBIASED), "causal"
)
"""Scores of the next token."""


def each_token(name: str) -> Head:
    """A linear head of that name at every token."""
    return Head(TokenClassifier, (Pairing("head", name),), classes, (PLAIN,))


def last_token(name: str) -> Head:
    """A linear head of that name, without a bias, at the last token."""

    def arguments(config: Any) -> dict[str, Any]:
        return {**classes(config), "pooling": "last", "head_bias": False}

    return Head(
        SequenceClassifier, (Pairing("head", name),), arguments, (PLAIN, pools("last"), UNBIASED)
    )


def first_token(name: str) -> Head:
    """A linear head of that name at the first token."""

    def arguments(config: Any) -> dict[str, Any]:
        return {**classes(config), "pooling": "first"}

    return Head(SequenceClassifier, (Pairing("head", name),), arguments, (PLAIN, pools("first")))
