"""Small models with data as that of training, made in this process: what they say is random."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.data import TaggingData, TextClassificationData, TextData
from lightning_posenc.inference.predictor import Predictor
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, SequenceClassifier, TokenClassifier
from lightning_posenc.positional import RoPE

SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=1)
TEXTS = ["I am so happy", "how sad", "", "what a long and boring day it was"]
SAID = ("I am so happy", "so mad", "glad", "awful", "nice day", "furious now") * 3
MOODS = "text,label\n" + "".join(
    f"{text},{'joy' if n % 2 else 'anger'}\n" for n, text in enumerate(SAID)
)
SENTENCES = "Anna B-PER\nlives O\nin O\nNew B-LOC\nYork I-LOC\n\nBob B-PER\nsings O\n\n" * 4


@pytest.fixture
def moods(tmp_path: Path) -> Path:
    path = tmp_path / "moods.csv"
    path.write_text(MOODS)
    return path


@pytest.fixture
def classifier(moods: Path) -> Predictor:
    data = TextClassificationData(str(moods), train_length=16)
    torch.manual_seed(0)
    return Predictor(SequenceClassifier(SPEC, data.vocab_size, data.n_classes), data, device="cpu")


@pytest.fixture
def tagger(tmp_path: Path) -> Predictor:
    path = tmp_path / "train.conll"
    path.write_text(SENTENCES)
    data = TaggingData(str(path), train_length=4, min_count=1)
    torch.manual_seed(0)
    module = TokenClassifier(SPEC, data.vocab_size, data.n_classes, positional=RoPE)
    return Predictor(module, data, device="cpu")


def language_model(path: Path, **options: Any) -> Predictor:
    """A language model of a text."""
    path.write_text("The quick brown fox jumps over the lazy dog, naïvely. " * 40)
    objective = options.pop("objective", "causal")
    data = TextData(str(path), train_length=16, **options)
    torch.manual_seed(0)
    module = LanguageModel(SPEC, data.vocab_size, objective, positional=RoPE)
    return Predictor(module, data, device="cpu")
