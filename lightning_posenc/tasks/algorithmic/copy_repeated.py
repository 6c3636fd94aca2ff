"""Copy one token that is repeated."""

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer


class CopyRepeated(DecoderTask):
    """One symbol n times, a separator; the answer is the symbol n times, or `times` as often.

    Example for n = 3: `s7 s7 s7 =  ->  s7 s7 s7 <end>`. The length n counts the repetitions. It
    stresses counting: what to say is plain, how often is not. Published as rsc, and with
    `times=2` as rsc2x.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466. There the symbols are all words of T5's vocabulary, and the
    prompt begins with "Copy:".

    Args:
        n_symbols: number of symbols, at least 2, one of which is drawn uniformly.
        times: answer tokens for each token of the prompt, at least 1.

    Raises:
        ValueError: if an argument is too small.
    """

    min_length = 1

    def __init__(self, n_symbols: int = 100, times: int = 1) -> None:
        self.n_symbols = whole(self, "n_symbols", n_symbols, 2)
        self.times = whole(self, "times", times, 1)
        super().__init__([*(f"s{i}" for i in range(n_symbols)), "="])

    def width(self, length: int) -> int:
        return length + 1 + self.times * length + 1

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        symbol = draws.integers(0, self.n_symbols, 1)
        separator = torch.full_like(symbol, self.n_symbols)
        prompt = torch.cat([symbol.expand(-1, length), separator], dim=1)
        return prompt_and_answer(prompt, symbol.expand(-1, self.times * length), self.end)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1: the symbol and how often it has been said are counts."""
        self.check_length(length)
        return 1.0
