"""The sum of digits modulo 10."""

import torch

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer


class SumDigits(DecoderTask):
    """n digits out of 1..9, a separator; the answer is the last digit of their sum.

    Example for n = 3: `9 2 4 =  ->  5 <end>`. The length n counts the digits. It needs no order:
    a control, which stresses how attention behaves over more tokens than trained.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466. There `+` stands between the digits, and words around the
    prompt and the answer.
    """

    min_length = 1

    def __init__(self) -> None:
        super().__init__([*"0123456789", "="])

    def width(self, length: int) -> int:
        return length + 3

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        digits = draws.integers(1, 10, length)
        answer = digits.sum(1, keepdim=True) % 10
        return prompt_and_answer(
            torch.cat([digits, torch.full_like(answer, 10)], dim=1), answer, self.end
        )

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1: a sum does not depend on the order."""
        self.check_length(length)
        return 1.0
