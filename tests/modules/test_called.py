"""Modules, encoders and encodings that are called with what is likely and wrong: one line (F)."""

import re
from collections.abc import Callable
from inspect import isabstract, isclass
from typing import Any

import pytest
import torch

from lightning_posenc import Dims, Encoder, positional
from lightning_posenc.data import Batch
from lightning_posenc.diagnostics import positional_gradients
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, SequenceClassifier, TokenClassifier, greedy
from lightning_posenc.positional import PositionalEncoding

SPEC = EncoderSpec(16, 2, 1)
MODULES = (
    SequenceClassifier(SPEC, 20, 3),
    TokenClassifier(SPEC, 20, 3),
    LanguageModel(SPEC, 20),
)
ENCODER, TOKENS = Encoder(Dims(16, 2, 1)), torch.randint(20, (2, 5))
X = torch.zeros(2, 5, 16)
WRONG: tuple[tuple[Callable[[], Any], str], ...] = (
    *((lambda m=m: m("text"), "batch='text' must be a Batch or token ids") for m in MODULES),
    *((lambda m=m: m({"tokens": TOKENS}), "must be a Batch or token ids") for m in MODULES),
    *((lambda m=m: m(torch.rand(2, 5)), "tokens must be whole numbers (B, T)") for m in MODULES),
    (lambda: ENCODER("text"), "Encoder: x='text' must be a tensor"),
    (lambda: ENCODER(None), "Encoder: x=None must be a tensor"),
    (lambda: ENCODER(X, [5, 3]), "Encoder: lengths=[5, 3] must be a tensor"),
    (lambda: ENCODER(X, positions=[0, 1, 2, 3, 4]), "Encoder: positions=[0, 1, 2, 3, 4] must be"),
    (lambda: ENCODER(X, documents="one"), "Encoder: documents='one' must be a tensor"),
    (lambda: greedy(MODULES[2], "text"), "decoding: tokens='text' must be token ids"),
    (lambda: greedy("gpt2", TOKENS), "decoding: model='gpt2' must have an encoder"),
    (lambda: positional_gradients(ENCODER, X), "must have a `score`, as an EncoderModule"),
)


@pytest.mark.parametrize(("call", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_a_call_cannot_take_is_named(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(positional.__all__))
def test_no_encoding_is_a_layer(name: str) -> None:
    kind = getattr(positional, name)
    if isclass(kind) and issubclass(kind, PositionalEncoding) and not isabstract(kind):
        with pytest.raises(ValueError, match=rf"{name} is no layer to call: Encoder\(dims, {name}"):
            kind.forward(kind.__new__(kind), X)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_a_module_is_called_with_token_ids_or_a_batch(module: Any) -> None:
    module.eval()
    batch = Batch(TOKENS, TOKENS)
    assert torch.equal(module(TOKENS), module.logits(batch))
    assert torch.equal(module(batch), module.logits(batch))
