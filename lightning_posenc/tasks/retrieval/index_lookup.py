"""Which token stands at place i?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task
from lightning_posenc.tasks.bounds.mode import expected_mode

BASE = 10


class IndexLookup(Task):
    """n symbols, then questions `? d d d` naming a place: the last digit says its symbol.

    Places are counted from 0 and written in decimal with leading zeros, most significant digit
    first. With n = 4, one question and two digits: `c a a d ? 0 3`, and the 3 says d.
    T = n + n_queries (1 + n_digits).

    It stresses absolute position. Digits rather than a token for each index, so that a question
    about a place beyond the trained length is made of tokens that training has seen; which of
    them differ from 0 is of course new once a longer index appears.

    No source: made for this package.

    Args:
        n_queries: questions, each about a uniform place of 0..n-1, at least 1.
        n_digits: digits of an index, at least 1; n is at most 10^n_digits.
        n_symbols: number of symbols, drawn independently and uniformly, at least 2; then come the
            ten digits and the question mark.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    min_length = 1

    def __init__(self, n_queries: int = 1, n_digits: int = 3, n_symbols: int = 16) -> None:
        self.n_queries = whole(self, "n_queries", n_queries, 1)
        self.n_digits = whole(self, "n_digits", n_digits, 1, 18)  # int64 holds 18 digits
        self.n_classes = whole(self, "n_symbols", n_symbols, 2)
        self.vocab_size = n_symbols + BASE + 1
        self.symbols = [f"s{i}" for i in range(n_symbols)] + [*map(str, range(BASE)), "?"]

    def width(self, length: int) -> int:
        return length + self.n_queries * (1 + self.n_digits)

    def check_length(self, length: int) -> None:
        super().check_length(length)
        if length > BASE**self.n_digits:
            raise ValueError(
                f"IndexLookup cannot name the places of {length} symbols: choose a length of at "
                f"most {BASE**self.n_digits}, or more than n_digits={self.n_digits} digits"
            )

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        word = draws.integers(0, self.n_classes, length)
        index = draws.integers(0, length, self.n_queries)
        weights = BASE ** torch.arange(self.n_digits - 1, -1, -1)
        digits = index[..., None] // weights % BASE
        mark = torch.full_like(index, self.vocab_size - 1)[..., None]
        questions = torch.cat([mark, self.n_classes + digits], dim=2)  # (B, queries, 1 + digits)
        asked = torch.full_like(questions, IGNORE)
        asked[..., -1] = word.gather(1, index)
        tokens = torch.cat([word, questions.flatten(1)], dim=1)
        return Sample(tokens, torch.cat([torch.full_like(word, IGNORE), asked.flatten(1)], dim=1))

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly E[M] / n: places are drawn without regard to the symbols."""
        self.check_length(length)
        return expected_mode(length, self.n_classes) / length
