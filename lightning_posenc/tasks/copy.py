"""What came before the separator, word for word?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task
from lightning_posenc.tasks.bounds.mode import expected_mode


class Copy(Task):
    """n symbols, a separator, n blanks: at the i-th blank say the i-th symbol.

    n = floor((T - 1) / 2); at an even length T one more blank follows, which is not scored.

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2; the separator
            is token `n_symbols`, the blank the next.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    min_length = 3

    def __init__(self, n_symbols: int = 16) -> None:
        self.n_classes = whole(self, "n_symbols", n_symbols, 2)
        self.vocab_size = n_symbols + 2

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        n = (length - 1) // 2
        word = draws.integers(0, self.n_classes, n)
        tokens = word.new_full((len(word), length), self.n_classes + 1)
        tokens[:, :n] = word
        tokens[:, n] = self.n_classes
        targets = torch.full_like(tokens, IGNORE)
        targets[:, n + 1 : 2 * n + 1] = word
        return Sample(tokens, targets)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly E[M] / n: all blanks look alike, so all get the commonest of the n symbols."""
        self.check_length(length)
        n = (length - 1) // 2
        return expected_mode(n, self.n_classes) / n
