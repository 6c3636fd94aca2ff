"""Is the number of ones even?"""

import torch

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer


class ParityOfBits(DecoderTask):
    """n bits, a question mark; the answer is `yes` if an even number of them is 1, else `no`.

    Example for n = 4: `1 0 1 1 ?  ->  no <end>`. The length n counts the bits. It needs no order,
    yet every bit counts: a control, which hardly any attention model generalises.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466. There commas stand between the bits, and words around the
    prompt and the answer.
    """

    min_length = 1

    def __init__(self) -> None:
        super().__init__(["0", "1", "?", "yes", "no"])

    def width(self, length: int) -> int:
        return length + 3

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        bits = draws.integers(0, 2, length)
        answer = 3 + bits.sum(1, keepdim=True) % 2
        return prompt_and_answer(
            torch.cat([bits, torch.full_like(answer, 2)], dim=1), answer, self.end
        )

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1: parity does not depend on the order."""
        self.check_length(length)
        return 1.0
