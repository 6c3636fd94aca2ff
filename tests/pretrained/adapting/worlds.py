"""A tiny model with its tokenizer, and a text in its words."""

from pathlib import Path
from typing import Any

import torch
from lightning_posenc.pretrained.evaluating.texts import Text
from tests.pretrained.tiny import saved, tiny

from lightning_posenc.data import Batch, TextData
from lightning_posenc.tasks import IGNORE

WORDS, LENGTH = 50, 16


def llama_folder(root: Path, seed: int = 0, **options: Any) -> Path:
    """A Llama of two blocks, trained at 64 tokens as its config says."""
    model = tiny("llama", "AutoModelForCausalLM", seed, **options)
    return saved(model, root / f"llama{seed}", tokenizer=True)


def text_file(root: Path) -> Path:
    """Words that follow each other by a rule, so that there is something to learn."""
    drawn = torch.Generator().manual_seed(0)
    words, word = [], 0
    for skip in torch.randint(1, 3, (3000,), generator=drawn).tolist():
        word = (word + skip) % WORDS
        words.append(f"w{word}")
    path = root / "words.txt"
    path.write_text(" ".join(words))
    return path


def text_data(folder: Path, **options: Any) -> TextData:
    """Blocks of LENGTH words, by the model's own tokenizer."""
    text = text_file(folder.parent)
    sizes = {"train_length": LENGTH, "batch_size": 4, "steps_per_epoch": 3, "seed": 0}
    return TextData(str(text), vocabulary=str(folder), **{**sizes, **options})


def text(n: int = 3000) -> Text:
    """The same rule, in ids."""
    drawn = torch.Generator().manual_seed(0)
    return Text("words", torch.randint(1, 3, (n,), generator=drawn).cumsum(0) % WORDS)


def batch(rows: int = 3, length: int = LENGTH, **fields: Any) -> Batch:
    """Random words, each with the next as its target."""
    tokens = torch.randint(3, WORDS, (rows, length), generator=torch.Generator().manual_seed(1))
    targets = tokens.roll(-1, dims=1)
    targets[:, -1] = IGNORE
    return Batch(tokens, targets, **fields)
