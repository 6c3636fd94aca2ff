"""Texts with a class each, cut and padded to a length."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.fixed import Cut, FiniteDataset
from lightning_posenc.data.meaning import digest
from lightning_posenc.data.text.tokenised import Tokens


class Labelled(NamedTuple):
    """The texts of one split.

    Args:
        tokens: their ids.
        numbers: (N,) int64, class of each; -100 where it is not known.
        unknown: how many have which class that is none of the model's.
        n_missing: how many have no label.
    """

    tokens: Tokens
    numbers: Tensor
    unknown: Counter[str]
    n_missing: int


class LabelledTexts(FiniteDataset):
    """Texts of at most T tokens, padded to T with token 0; an empty text is one token 0.

    Args:
        tokens: ids of all texts.
        labels: (N,) int64, class of each text; -100 where it is not known.
        items: (n,) int64, which of the texts belong to this dataset, in its order.
        length: T; of a longer text the first T tokens are kept.
    """

    def __init__(self, tokens: Tokens, labels: Tensor, items: Tensor, length: int) -> None:
        self.ids = tokens.ids
        self.sizes = tokens.sizes
        self.starts = np.cumsum(tokens.sizes) - tokens.sizes
        self.labels = labels
        self.items = items
        self.length = length

    def __len__(self) -> int:
        return len(self.items)

    def content(self) -> str:
        labels = self.labels[self.items].numpy()
        return digest(self.ids, self.sizes, labels, self.items.numpy())

    def cut(self) -> Cut:
        sizes = self.sizes[self.items.numpy()]
        beyond = (sizes - self.length).clip(min=0)
        return Cut(len(sizes), int((beyond > 0).sum()), int(sizes.sum()), int(beyond.sum()))

    def __getitems__(self, indices: list[int]) -> Batch:
        items = self.items[indices]
        tokens = np.zeros((len(items), self.length), dtype=np.int64)
        lengths = self.sizes[items.numpy()].clip(max=self.length)
        for row, start, length in zip(tokens, self.starts[items.numpy()], lengths, strict=True):
            row[:length] = self.ids[start : start + length]
        return Batch(
            torch.from_numpy(tokens),
            self.labels[items],
            lengths=torch.from_numpy(lengths).clamp(min=1),
        )
