"""What a synthetic task is: a pure, vectorised generator of labelled token sequences."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.compat.torch import is_overridden
from lightning_posenc.draws import Draws

IGNORE = -100  # the target of a place that is not scored; cross_entropy's default ignore_index


LONGEST = 2**20  # of all problems: samples are made whole, in memory


class Sample(NamedTuple):
    """B sequences of one length with their answers.

    Args:
        tokens: (B, T) int64, in 0..vocab_size-1.
        targets: (B,) int64 for a "sequence" task, (B, T) for a "token" task; classes in
            0..n_classes-1, or IGNORE where nothing is scored.
        focus: (B,) int64, the position that the answer hinges on, or None.
        lengths: (B,) int64, tokens of each sequence before its padding, or None if all have T.
        positions: (B, T) or (B, T, A), where each token stands, or None for 0..T-1.
    """

    tokens: Tensor
    targets: Tensor
    focus: Tensor | None = None
    lengths: Tensor | None = None
    positions: Tensor | None = None


class Task(ABC):
    """A family of sequences whose labels cannot be told without knowing the order of the tokens.

    A subclass sets `kind`, `vocab_size`, `n_classes` and `min_length`; its constructor's arguments
    are its configuration. A task's length is the size of the problem in its own unit (symbols of a
    word, digits of a number); `width` says how many tokens that makes.
    """

    kind: ClassVar[Literal["sequence", "token"]]
    vocab_size: int
    n_classes: int
    min_length: int
    symbols: Sequence[str] | None = None  # how each token is printed; None prints its number

    @abstractmethod
    def sample(self, draws: Draws, length: int) -> Sample:
        """One sequence for each of the indices in `draws`.

        Args:
            draws: source of all randomness.
            length: size of the problem; T is `width(length)`.

        Raises:
            ValueError: if the task cannot make that length.
        """

    def width(self, length: int) -> int:
        """T, the tokens of a sequence of that length, padding included."""
        return length

    @abstractmethod
    def bag_of_tokens_bound(self, length: int) -> float:
        """Best expected accuracy of a predictor that does not see positions.

        For a sequence task it sees the multiset of tokens; for a token task it also sees the
        token at the place that is scored, as a permutation-equivariant model does.

        Args:
            length: size of the problem.

        Raises:
            ValueError: if the task cannot make that length.
        """

    def show(self, tokens: Sequence[int], targets: int | Sequence[int]) -> str:
        """One sample for a person to read: the tokens, and what is asked of them."""
        shown = [self._printed(token) for token in tokens]
        if isinstance(targets, int):
            return f"{' '.join(shown)}  ->  {targets}"
        asked = ["·" if target == IGNORE else self._printed(target) for target in targets]
        widths = [max(map(len, pair)) for pair in zip(shown, asked, strict=True)]
        return "\n".join(" ".join(map(str.rjust, line, widths)).rstrip() for line in (shown, asked))

    def _printed(self, token: int) -> str:
        return str(token) if self.symbols is None else self.symbols[token]

    def check_length(self, length: int) -> None:
        """Refuse a length that this task cannot make.

        Raises:
            ValueError: naming the task, the length and the shortest length that works, or the
                longest, 2^20.
        """
        whole(self, "length", length, min(0, length), LONGEST)
        if length < self.min_length:
            raise ValueError(
                f"{type(self).__name__} cannot make sequences of length {length}: "
                f"choose a length of at least {self.min_length}"
            )


def generate(task: Task, seed: int, split: str, index: Tensor, length: int) -> Sample:
    """The samples of `task` with the given numbers; each depends on its own number alone.

    Args:
        task: the generator.
        seed: any integer.
        split: name of the stream, for example `"train"`.
        index: (B,) int64, the number of each sample.
        length: size of the problem, see `Task`.

    Raises:
        ValueError: if the task cannot make that length.
    """
    # Of NumPy's numbers, so on the CPU, also where torch.set_default_device says otherwise.
    # A default device overrides torch's functions; where nothing does, it need not be looked for,
    # which takes as long as a tenth of a small task.
    elsewhere = is_overridden() and torch.get_default_device().type != "cpu"
    with torch.device("cpu") if elsewhere else nullcontext():
        return task.sample(Draws(seed, split, index), length)


def place(tokens: Tensor, positions: Tensor, token: int) -> Tensor:
    """`tokens` (B, T) with `token` at `positions` (B,)."""
    return tokens.scatter(1, positions[:, None], token)
