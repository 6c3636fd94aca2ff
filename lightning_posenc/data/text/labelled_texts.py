"""Texts with a class each, cut to a length and padded to the longest of a batch."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.fixed import Cut, FixedDataset
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


class LabelledTexts(FixedDataset):
    """Texts of at most T tokens; an empty text is one token 0.

    A batch is as wide as its longest text, the others are padded with token 0: most texts are much
    shorter than T, and of every place that none of them fills a model would compute all layers.

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
        lengths = self.sizes[items.numpy()].clip(max=self.length)
        tokens = np.zeros((len(items), max(1, lengths.max(initial=0))), dtype=np.int64)
        for row, start, length in zip(tokens, self.starts[items.numpy()], lengths, strict=True):
            row[:length] = self.ids[start : start + length]
        return Batch(
            torch.from_numpy(tokens),
            self.labels[items],
            lengths=torch.from_numpy(lengths).clamp(min=1),
        )
