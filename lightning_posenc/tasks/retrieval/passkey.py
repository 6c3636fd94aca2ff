"""What was the number hidden in all the filler?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import number, whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task
from lightning_posenc.tasks.bounds.mode import expected_mode

DIGITS = 10


class Passkey(Task):
    """Filler, the word KEY and its digits, more filler, question marks: say the digits in order.

    The filler repeats one sentence, from its start before and again after the needle. Of F tokens
    of filler round(depth F) precede the needle. With two digits, a sentence of three words and
    T = 10: `w0 w1 w2 w0 KEY 4 1 w0 ? ?`, and the marks say 4, 1. The focus is the place of KEY.

    It stresses distance: the needle is easily told from the filler, but may be far away, at a
    depth that can be set apart from the length.

    Source: Mohtashami and Jaggi 2023, "Landmark Attention: Random-Access Infinite Context Length
    for Transformers", arXiv:2305.16300, and the authors' code. Deviations: tokens instead of
    English; the task is not described first and the key is said once, not twice; a fixed number
    of uniform digits; one question mark for each digit, so that models that are not causal can
    answer too.

    Args:
        depth: where the needle is, from 0 (before all filler) to 1 (after it); None draws the
            tokens of filler before it uniformly.
        n_digits: digits of the key, at least 1.
        n_filler: words of the sentence, at least 1.

    Raises:
        ValueError: if an argument is out of range.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    n_classes = DIGITS

    def __init__(self, depth: float | None = None, n_digits: int = 5, n_filler: int = 24) -> None:
        self.depth = None if depth is None else number(self, "depth", depth, 0, 1)
        self.n_digits = whole(self, "n_digits", n_digits, 1, 1000)
        self.n_filler = whole(self, "n_filler", n_filler, 1)
        self.min_length = 1 + 2 * n_digits
        filler = [f"w{i}" for i in range(n_filler)]
        self.symbols = [*map(str, range(DIGITS)), *filler, "KEY", "?"]
        self.vocab_size = len(self.symbols)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        filler = length - self.min_length
        digits = draws.integers(0, DIGITS, self.n_digits)
        if self.depth is None:
            before = draws.integers(0, filler + 1)[:, None]
        else:
            before = digits.new_full((len(digits), 1), round(self.depth * filler))
        word = torch.arange(length)
        resumed = word - before - 1 - self.n_digits
        tokens = DIGITS + torch.where(word < before, word, resumed) % self.n_filler
        needle = before + torch.arange(1 + self.n_digits)
        key = torch.full_like(before, self.vocab_size - 2)
        tokens = tokens.scatter(1, needle, torch.cat([key, digits], dim=1))
        tokens[:, -self.n_digits :] = self.vocab_size - 1
        targets = torch.full_like(tokens, IGNORE)
        targets[:, -self.n_digits :] = digits
        return Sample(tokens, targets, before[:, 0])

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly E[M] / n_digits: all marks look alike and get the commonest of the digits."""
        self.check_length(length)
        return expected_mode(self.n_digits, DIGITS) / self.n_digits
