"""A tiny model with its tokenizer, and a text in its words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data import Batch, TextData
from lightning_posenc.pretrained.frequencies import frequency_maps, turned
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.tasks import IGNORE
from tests.pretrained.tiny import saved, tiny

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
    sizes: dict[str, Any] = {"train_length": LENGTH, "batch_size": 4, "steps_per_epoch": 3}
    return TextData(str(text), **{"vocabulary": str(folder), "seed": 0, **sizes, **options})


class Words(NamedTuple):
    """The same rule, in ids."""

    ids: Tensor

    @classmethod
    def of(cls, n: int = 3000) -> "Words":
        drawn = torch.Generator().manual_seed(0)
        return cls(torch.randint(1, 3, (n,), generator=drawn).cumsum(0) % WORDS)

    def windows(self, length: int, n: int) -> Tensor:
        there = len(self.ids) // length
        if not there:
            raise ValueError(f"{len(self.ids)} tokens are too few for one sequence of {length}")
        return self.ids[: there * length].view(there, length)[:n]


class Halved:
    """Turns half as fast, as positional interpolation by 2."""

    def check(self, pretrained: Pretrained, to: int) -> None:
        if to < 64:
            raise ValueError(f"to={to} is less than the 64 of training")

    @contextmanager
    def applied(self, pretrained: Pretrained, to: int) -> Iterator[None]:
        maps = frequency_maps(pretrained.model)
        slower = {key: each._replace(inv_freq=each.inv_freq / 2) for key, each in maps.items()}
        with turned(pretrained.model, slower):
            yield


def batch(rows: int = 3, length: int = LENGTH, **fields: Any) -> Batch:
    """Random words, each with the next as its target."""
    tokens = torch.randint(3, WORDS, (rows, length), generator=torch.Generator().manual_seed(1))
    targets = tokens.roll(-1, dims=1)
    targets[:, -1] = IGNORE
    return Batch(tokens, targets, **fields)
