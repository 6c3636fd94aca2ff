"""What came after the trigger?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task, place
from lightning_posenc.tasks.bounds.mode import expected_mode


class Induction(Task):
    """One trigger among symbols, and one at the end: there say what followed the first.

    With T = 7: `4 ! 2 0 4 4 !`, and the last token says 2. The first trigger stands at a uniform
    place of 0..T-3; the focus is the place after it.

    It stresses the pair of steps of an induction head: look one token back, then for a match of
    content at any distance. Only the last place is scored, so that causal models can do it.

    Source: Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
    arXiv:2312.00752, section 4.1.2 (there T = 256 and 16 tokens in all, the default); the heads
    that do it: Olsson et al. 2022, "In-context Learning and Induction Heads", arXiv:2209.11895.

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2; the trigger
            is token `n_symbols`.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    min_length = 3

    def __init__(self, n_symbols: int = 15) -> None:
        self.n_classes = whole(self, "n_symbols", n_symbols, 2)
        self.vocab_size = n_symbols + 1
        self.symbols = [*map(str, range(n_symbols)), "!"]

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        noise = draws.integers(0, self.n_classes, length)
        trigger = draws.integers(0, length - 2)
        tokens = place(noise, trigger, self.n_classes)
        tokens[:, -1] = self.n_classes
        targets = torch.full_like(tokens, IGNORE)
        targets[:, -1:] = tokens.gather(1, trigger[:, None] + 1)
        return Sample(tokens, targets, trigger + 1)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly E[M] / (T - 2): the answer is a uniform one of the symbols."""
        self.check_length(length)
        return expected_mode(length - 2, self.n_classes) / (length - 2)
