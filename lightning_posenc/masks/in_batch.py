"""Who sees whom in the sequences of one batch, as if each sequence and each document stood alone.

Shapes: B sequences, S tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.masks.base import Mask, Span, compose
from lightning_posenc.masks.batch import Documents, Padding


def in_batch(
    mask: Mask | None, lengths: Tensor | None, documents: Tensor | None, device: torch.device
) -> Mask | None:
    """Say it of sequences of several lengths, and of packed documents.

    Args:
        mask: Of one sequence; None if everybody sees everybody.
        lengths: (B,) tokens of each; None if all are full, or nobody sees what comes later.
        documents: (B, S) id of the document of each token; None if none are packed.
        device: Where dense forms live.

    Raises:
        ValueError: If documents are packed, and the mask changes with the number of their tokens.
    """
    if documents is not None and mask is not None and not mask.by_distance:
        if mask.depends_on_length:
            raise ValueError(
                "Encoder: who sees whom changes with the number of tokens in encoder.mask, as in "
                "BigBird, and packed documents have several: let tokens see across them "
                "(separate_documents=false)"
            )
        mask, documents = InDocuments(documents, mask, _starts(documents)), None
    elif lengths is not None and mask is not None and mask.depends_on_length:
        mask = _of_lengths(mask, lengths, device)
    return compose(
        mask,
        None if lengths is None else Padding(lengths),
        None if documents is None else Documents(documents),
    )


def _starts(documents: Tensor) -> Tensor:
    """(B, S) index of the first token of the document of each."""
    begins = F.pad(documents[:, 1:] != documents[:, :-1], (1, 0), value=True)
    index = torch.arange(documents.shape[1], device=documents.device)
    return torch.where(begins, index, 0).cummax(dim=1).values


@dataclass(frozen=True, eq=False)
class InDocuments(Documents):
    """Tokens see only their own document, and of that what a mask lets them see.

    Args:
        ids: (B, S) id of the document of each token; each document is in one piece.
        mask: Of the tokens of a document, counted from its start.
        starts: (B, S) index of the first token of each token's document.
    """

    mask: Mask
    starts: Tensor

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        own = super().__call__(b, q, k)
        return own & self.mask(b, q - self.starts[b, q], k - self.starts[b, k])

    @property
    def hides_future(self) -> bool:
        return self.mask.hides_future


@dataclass(frozen=True, eq=False)
class OfLengths(Mask):
    """A mask of its own for every length. What stands beyond a sequence's end sees itself alone.

    Args:
        lengths: Different ones, each at least 1.
        masks: For each.
        which: (B,) index among them.
    """

    lengths: tuple[int, ...]
    masks: tuple[Mask, ...]
    which: Tensor

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        which, seen = self.which[b], None
        for index, (length, mask) in enumerate(zip(self.lengths, self.masks, strict=True)):
            found = mask(b, q.clamp(max=length - 1), k.clamp(max=length - 1))
            found = found & (q < length) & (k < length)
            seen = found if seen is None else torch.where(which == index, found, seen)
        assert seen is not None
        return seen | (q == k)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        found = queries.meets(keys)
        for length, mask in zip(self.lengths, self.masks, strict=True):
            spans = (Span(*(end.clamp(max=length - 1) for end in span)) for span in (queries, keys))
            inside = (queries.low < length) & (keys.low < length)
            found = found | (inside & mask.reaches(*spans))
        return found

    @property
    def n_sequences(self) -> int:
        return self.which.shape[0]


@torch.compiler.disable  # which lengths there are is read off
def _of_lengths(mask: Mask, lengths: Tensor, device: torch.device) -> Mask:
    sizes, which = lengths.clamp(min=1).unique(return_inverse=True)
    of = tuple(sizes.tolist())
    return OfLengths(of, tuple(mask.at(length, device) for length in of), which.to(device))
