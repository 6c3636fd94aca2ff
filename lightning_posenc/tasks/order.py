"""Which of two came first?"""

from typing import ClassVar, Literal

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample, Task, place


class Order(Task):
    """Tokens A and B stand at two random places among noise; the label is 1 if A comes first.

    The focus is the position of A.

    Args:
        n_symbols: number of noise symbols, at least 1; A is token `n_symbols`, B the next.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "sequence"
    n_classes = 2
    min_length = 2

    def __init__(self, n_symbols: int = 16) -> None:
        self.n_symbols = whole(self, "n_symbols", n_symbols, 1)
        self.vocab_size = n_symbols + 2

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        noise = draws.integers(0, self.n_symbols, length)
        a = draws.integers(0, length)
        b = draws.integers(0, length - 1)
        b = b + (b >= a)  # uniform over the places that A left free
        tokens = place(place(noise, a, self.n_symbols), b, self.n_symbols + 1)
        return Sample(tokens, (a < b).long(), a)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1/2: exchanging A and B keeps the bag and flips the label."""
        self.check_length(length)
        return 0.5
