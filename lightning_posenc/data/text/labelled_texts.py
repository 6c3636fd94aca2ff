"""Texts with a class each, cut to a length and padded to the longest of a batch."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.fixed import Cut, FixedDataset
from lightning_posenc.data.meaning import digest
from lightning_posenc.data.text.labels import Numbered
from lightning_posenc.data.text.tokenised import Tokens, rectangle


class Labelled(NamedTuple):
    """The texts of one split.

    Args:
        tokens: their ids.
        labels: their classes.
    """

    tokens: Tokens
    labels: Numbered


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
        self.tokens = tokens
        self.starts = tokens.starts
        self.labels = labels
        self.items = items
        self.length = length

    def __len__(self) -> int:
        return len(self.items)

    def content(self) -> str:
        labels = self.labels[self.items].numpy()
        return digest(*self.tokens, labels, self.items.numpy())

    def lengths(self) -> Tensor:
        """(n,) int64, tokens of each text that are read."""
        sizes = torch.as_tensor(self.tokens.sizes[self.items.numpy()])
        return sizes.long().clamp(max=self.length)

    def cut(self) -> Cut:
        sizes = self.tokens.sizes[self.items.numpy()]
        beyond = (sizes - self.length).clip(min=0)
        return Cut(len(sizes), int((beyond > 0).sum()), int(sizes.sum()), int(beyond.sum()))

    def classes(self) -> Tensor:
        return self.labels[self.items]

    def __getitems__(self, indices: list[int]) -> Batch:
        items = self.items[indices]
        tokens, lengths = rectangle(self.tokens, self.starts, items.numpy(), self.length)
        return Batch(
            torch.from_numpy(tokens),
            self.labels[items],
            lengths=torch.from_numpy(lengths).clamp(min=1),
        )
