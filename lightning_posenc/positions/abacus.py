"""The place of each digit in its number."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.draws import sent
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.digits import checked_ids, place_in_run, tokens_among
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.sequences import Sequences


class Abacus(Positions):
    """1, 2, 3, … over the digits of each number, plus k in training; 0 for all other tokens.

    k is uniform among 0, 1, …, max_offset, so that training meets the large positions of long
    numbers. Digits of like weight share a position if numbers are written with the least
    significant digit first. Use it with LearnedAbsolute, whose table needs max_offset + 1 rows and
    one for each digit of the longest number.

    Source: McLeish et al. 2024, "Transformers Can Do Arithmetic with the Right Embeddings",
    arXiv:2405.17399.

    Args:
        digits: Ids of the tokens that are digits, at least one.
        max_offset: Largest offset, not negative. The paper has 99.
        per_sequence: Draw anew for every sequence; otherwise one offset serves the batch, as in
            the paper's code.

    Raises:
        ValueError: If there are no digits or the offset is negative; when called without tokens.
    """

    source = Paper(
        "McLeish et al.",
        2024,
        "Transformers Can Do Arithmetic with the Right Embeddings",
        "2405.17399",
    )
    equation = (
        r"p_t = \begin{cases} k + \text{place within its number, from } 1 & t \text{ is a digit} \\"
        r" 0 & \text{else} \end{cases}, \quad k \sim U\{0, \dots, \mathrm{max\_offset}\}"
    )

    reads_tokens = True

    def __init__(
        self,
        digits: Sequence[int] = tuple(range(10)),
        max_offset: int = 99,
        per_sequence: bool = False,
    ) -> None:
        super().__init__()
        self.digits = checked_ids(self, "digits", digits)
        self.max_offset = whole(self, "max_offset", max_offset, 0)
        self.per_sequence = per_sequence

    def bounds(self, length: int) -> tuple[float, float]:
        return 0, length + self.max_offset

    def forward(self, sequences: Sequences) -> Tensor:
        mask = tokens_among(self, sequences, self.digits)
        before, _ = place_in_run(mask, sequences.documents)
        start = torch.ones(1, 1, dtype=torch.long, device="cpu")
        if self.training:
            rows = sequences.number if self.per_sequence else 1
            start = start + torch.randint(self.max_offset + 1, (rows, 1), device="cpu")
        return torch.where(mask, before + sent(start, mask.device), 0)
