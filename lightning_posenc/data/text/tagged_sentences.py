"""Sentences with a target for each token, cut to a length and padded to the longest of a batch."""

import numpy as np
import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.fixed import Cut, FixedDataset
from lightning_posenc.data.meaning import digest
from lightning_posenc.tasks import IGNORE

Encoded = list[tuple[int, int]]  # token ids and their targets


class TaggedSentences(FixedDataset):
    """Sentences of at most T tokens.

    A batch is as wide as its longest sentence, the others are padded with token 0 and targets that
    are not scored.

    Args:
        sentences: ids and targets of each.
        length: T; of a longer sentence the first T tokens are kept.
    """

    def __init__(self, sentences: list[Encoded], length: int) -> None:
        self.sentences = sentences
        self.length = length

    def __len__(self) -> int:
        return len(self.sentences)

    def content(self) -> str:
        return digest(np.array([pair for sentence in self.sentences for pair in sentence]))

    def lengths(self) -> Tensor:
        """(n,) int64, tokens of each sentence that are read."""
        return torch.tensor([len(each) for each in self.sentences]).clamp(max=self.length)

    def cut(self) -> Cut:
        sizes = np.array([len(sentence) for sentence in self.sentences])
        beyond = (sizes - self.length).clip(min=0)
        targets = [target for sentence in self.sentences for _, target in sentence[self.length :]]
        unscored = sum(target != IGNORE for target in targets)
        all_targets = sum(target != IGNORE for each in self.sentences for _, target in each)
        phrase = f", {unscored:,} of {all_targets:,} words are never scored" if unscored else ""
        lost = int(beyond.sum())
        n_cut = int((beyond > 0).sum())
        return Cut(len(sizes), n_cut, int(sizes.sum()), lost, phrase, "sentences")

    def classes(self) -> Tensor:
        targets = torch.tensor([t for each in self.sentences for _, t in each[: self.length]])
        return targets[targets != IGNORE]

    def __getitems__(self, indices: list[int]) -> Batch:
        chosen = [self.sentences[index][: self.length] for index in indices]
        tokens = torch.zeros(len(chosen), max(map(len, chosen), default=1), dtype=torch.int64)
        targets = torch.full_like(tokens, IGNORE)
        for row, sentence in enumerate(chosen):
            pairs = torch.tensor(sentence)
            tokens[row, : len(pairs)], targets[row, : len(pairs)] = pairs.unbind(1)
        return Batch(tokens, targets, lengths=torch.tensor([len(sentence) for sentence in chosen]))
