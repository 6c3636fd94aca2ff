"""Copy a word of random tokens."""

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.bounds.revealed import guesses_of_remaining
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer


class CopyRandom(DecoderTask):
    """A word of n symbols, a separator; the answer is the word, or the word twice.

    Example for n = 3: `s7 s0 s7 =  ->  s7 s0 s7 <end>`, twice:
    `s7 s0 s7 =  ->  s7 s0 s7 ; s7 s0 s7 <end>`. The length n counts the symbols of the word. It
    stresses looking back at a fixed distance. Published as cmc and cmc2x.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466. There the prompt begins with "Copy:" and `;` is "[NEXT]".

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.
        twice: whether the answer says the word a second time.

    Raises:
        ValueError: if an argument is too small.
    """

    min_length = 1

    def __init__(self, n_symbols: int = 100, twice: bool = False) -> None:
        self.n_symbols = whole(self, "n_symbols", n_symbols, 2)
        self.twice = twice
        more = [";"] if twice else []
        super().__init__([*(f"s{i}" for i in range(n_symbols)), "=", *more])

    def width(self, length: int) -> int:
        return (3 if self.twice else 2) * (length + 1)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        word = draws.integers(0, self.n_symbols, length)
        separator, following = (torch.full_like(word[:, :1], self.n_symbols + i) for i in (0, 1))
        answer = torch.cat([word, following, word], dim=1) if self.twice else word
        return prompt_and_answer(torch.cat([word, separator], dim=1), answer, self.end)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Upper bound: of the m symbols still to come it knows the multiset, see `remaining`.

        What follows a word, `;` or the end, is certain, and a second word is as hard as the first.
        """
        self.check_length(length)
        return (sum(guesses_of_remaining(length, self.n_symbols)) + 1) / (length + 1)
