"""What is the i-th smallest?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task
from lightning_posenc.tasks.bounds.mode import expected_mode


class Sorting(Task):
    """n numbers, a separator, n blanks: at the i-th blank say the i-th smallest number.

    With n = 3: `5 0 5 | _ _ _`, and the blanks say 0, 5, 5. T = 2n + 1.

    It stresses the place of the output alone: the order of the numbers does not matter, but
    without positions all blanks say the same.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098
    (bucket sort, there of 5 different numbers). Deviations: a separator; also distinct numbers.

    Args:
        n_symbols: the numbers are 0..n_symbols-1, at least 2; the separator is token `n_symbols`,
            the blank the next.
        distinct: draw no number twice, so that n is at most n_symbols; otherwise they are
            independent and uniform.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    min_length = 1

    def __init__(self, n_symbols: int = 16, distinct: bool = False) -> None:
        self.n_classes = whole(self, "n_symbols", n_symbols, 2)
        self.distinct = distinct
        self.vocab_size = n_symbols + 2
        self.symbols = [*map(str, range(n_symbols)), "|", "_"]

    def width(self, length: int) -> int:
        return 2 * length + 1

    def check_length(self, length: int) -> None:
        super().check_length(length)
        if self.distinct and length > self.n_classes:
            raise ValueError(
                f"Sorting cannot draw {length} distinct numbers: choose a length of at most "
                f"n_symbols={self.n_classes}, or distinct=false"
            )

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        if self.distinct:
            word = draws.subset(self.n_classes, length)
        else:
            word = draws.integers(0, self.n_classes, length)
        separator = torch.full_like(word[:, :1], self.n_classes)
        tokens = torch.cat([word, separator, torch.full_like(word, self.n_classes + 1)], dim=1)
        targets = torch.full_like(tokens, IGNORE)
        targets[:, length + 1 :] = word.sort(dim=1).values
        return Sample(tokens, targets)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly E[M] / n, or 1 / n if distinct: all blanks say the commonest number."""
        self.check_length(length)
        return (1 if self.distinct else expected_mode(length, self.n_classes)) / length
