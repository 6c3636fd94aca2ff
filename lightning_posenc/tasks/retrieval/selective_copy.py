"""What were the symbols among the blanks, in order?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task
from lightning_posenc.tasks.bounds.mode import expected_mode


class SelectiveCopy(Task):
    """Some symbols at random places among blanks, then as many marks: say the symbols in order.

    Length n is that of the symbols and blanks together, T = n + n_copied. With three symbols and
    n = 7: `_ 4 _ _ 0 4 _ ? ? ?`, and the marks say 4, 0, 4.

    It stresses content-dependent distance: how far back the i-th symbol is differs between
    sequences, while the marks tell i by their place alone.

    Source: Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
    arXiv:2312.00752, section 4.1.1, after Jing et al. 2019 (there n = 4096 + 16). Defaults are
    theirs: 16 tokens in all, 16 symbols copied.

    Args:
        n_copied: number of symbols to copy, at least 1.
        n_symbols: number of different symbols, drawn independently and uniformly, at least 2; the
            blank is token `n_symbols`, the mark the next.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"

    def __init__(self, n_copied: int = 16, n_symbols: int = 14) -> None:
        self.n_copied = self.min_length = whole(self, "n_copied", n_copied, 1)
        self.n_classes = whole(self, "n_symbols", n_symbols, 2)
        self.vocab_size = n_symbols + 2
        self.symbols = [*map(str, range(n_symbols)), "_", "?"]

    def width(self, length: int) -> int:
        return length + self.n_copied

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        word = draws.integers(0, self.n_classes, self.n_copied)
        places = draws.subset(length, self.n_copied).sort(dim=1).values
        blanks = word.new_full((len(word), length), self.n_classes)
        marks = torch.full_like(word, self.n_classes + 1)
        tokens = torch.cat([blanks.scatter(1, places, word), marks], dim=1)
        return Sample(tokens, torch.cat([torch.full_like(blanks, IGNORE), word], dim=1))

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly E[M] / n_copied: all marks look alike and get the commonest of the symbols."""
        self.check_length(length)
        return expected_mode(self.n_copied, self.n_classes) / self.n_copied
