"""Say one token as often as another is repeated."""

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer


class ReplaceRepeated(DecoderTask):
    """Which symbol to replace by which, the first n times, a separator; the answer: the second.

    Example for n = 3: `s7 > s2 : s7 s7 s7 =  ->  s2 s2 s2 <end>`. The length n counts the
    repetitions. It stresses counting, as `CopyRepeated` does, over other tokens than those
    counted. Published as rdc.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466. There the prompt is in words: "Replace s7 with s2 in".

    Args:
        n_symbols: number of symbols, at least 2; an ordered pair is drawn uniformly.

    Raises:
        ValueError: if an argument is too small.
    """

    min_length = 1

    def __init__(self, n_symbols: int = 100) -> None:
        self.n_symbols = whole(self, "n_symbols", n_symbols, 2)
        super().__init__([*(f"s{i}" for i in range(n_symbols)), ">", ":", "="])

    def width(self, length: int) -> int:
        return 2 * length + 6

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        old = draws.integers(0, self.n_symbols, 1)
        new = (old + draws.integers(1, self.n_symbols, 1)) % self.n_symbols
        to, colon, separator = (torch.full_like(old, self.n_symbols + i) for i in range(3))
        prompt = torch.cat([old, to, new, colon, old.expand(-1, length), separator], dim=1)
        return prompt_and_answer(prompt, new.expand(-1, length), self.end)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1.

        In the prompt the old symbol stands at least twice and the new one once; after the first
        answer the new one is the token at the place that is scored.
        """
        self.check_length(length)
        return 1.0
