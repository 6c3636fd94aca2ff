"""What a model is given."""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """B sequences and their answers, as every loader yields and every module takes them.

    Args:
        tokens: (B, T) int64, token ids; or (B, T, …) of what else the model's inputs take.
        targets: (B,) or (B, T) int64; -100 is not scored.
        lengths: (B,) int64, real tokens in each row, or None if all T are.
        documents: (B, T) int64, number of the document that each token belongs to, or None if
            tokens may see across documents.
        positions: (B, T) or (B, T, A), where each token is, or None for 0..T-1.
        focus: (B,) int64, the position that the answer hinges on, or None.
        numbers: (B,) int64, the number of each sequence in its dataset, or None if nobody asks.
            Wherever the batch is, they are on the CPU, which draws from them.
    """

    tokens: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    documents: Tensor | None = None
    positions: Tensor | None = None
    focus: Tensor | None = None
    numbers: Tensor | None = None

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """Move every tensor but `numbers`; Lightning calls this instead of searching the tuple for
        tensors.
        """
        moved: Any = (f if f is None else f.to(device, non_blocking=non_blocking) for f in self)
        return Batch(*moved)._replace(numbers=self.numbers)

    def first(self, n: int) -> "Batch":
        """The first n sequences, or all if there are fewer."""
        taken: Any = (field if field is None else field[:n] for field in self)
        return Batch(*taken)

    def cut(self, length: int) -> "Batch":
        """The first tokens of each sequence, or all if there are fewer; targets of tokens too."""
        if length >= self.tokens.shape[1]:
            return self
        by_token = {
            name: field if field is None or field.dim() < 2 else field[:, :length]
            for name, field in self._asdict().items()
        }
        lengths = None if self.lengths is None else self.lengths.clamp(max=length)
        return Batch(**by_token)._replace(lengths=lengths)


def are_ids(tokens: Tensor) -> bool:
    """Whether a batch's tokens are ids (B, T), and not patches or frames."""
    return tokens.dim() == 2 and not tokens.is_floating_point()
