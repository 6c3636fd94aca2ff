"""What stands at the mirrored place?"""

from typing import ClassVar, Literal

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample, Task
from lightning_posenc.tasks.bounds.mode import expected_mode, guess_another


class Reverse(Task):
    """At position t of T say the token at T - 1 - t; every position is scored.

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    min_length = 2

    def __init__(self, n_symbols: int = 16) -> None:
        self.vocab_size = self.n_classes = whole(self, "n_symbols", n_symbols, 2)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        tokens = draws.integers(0, self.vocab_size, length)
        return Sample(tokens, tokens.flip(1))

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exact, and different for even and odd lengths.

        Even: each target is some other token of the sequence, see `guess_another`.
        Odd: the token in the centre is its own target. With probability 1/T the own token s is
        the target, otherwise one of the other T - 1 is: P(c) = count(c) / T for each symbol c,
        s among them, so that the best guess is the commonest symbol: E[M] / T.
        """
        self.check_length(length)
        if length % 2:
            return expected_mode(length, self.vocab_size) / length
        return guess_another(length, self.vocab_size)
