"""Write a word of random tokens backwards."""

from typing import Literal

import torch

from lightning_posenc.checks import one_of, whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.bounds.revealed import guesses_of_remaining
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer


class ReverseWords(DecoderTask):
    """A word of n symbols, a separator; the answer is the word backwards, and perhaps more.

    Example for n = 3: `s7 s0 s4 =  ->  s4 s0 s7 <end>`, with `then="copy"`:
    `s7 s0 s4 =  ->  s4 s0 s7 ; s7 s0 s4 <end>`. The length n counts the symbols of the word. It
    stresses looking back at a distance that grows by two a token. Published as mc, mc2x
    (`then="reverse"`) and mcrv (`then="copy"`).

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466. There the prompt begins with "Reverse:" and `;` is "[NEXT]".

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.
        then: what follows the reversed word: nothing, the reversed word again, or the word.

    Raises:
        ValueError: if an argument is out of range.
    """

    min_length = 1

    def __init__(
        self, n_symbols: int = 100, then: Literal["nothing", "reverse", "copy"] = "nothing"
    ) -> None:
        self.n_symbols = whole(self, "n_symbols", n_symbols, 2)
        self.then = one_of(self, "then", then, ("nothing", "reverse", "copy"))
        more = [] if then == "nothing" else [";"]
        super().__init__([*(f"s{i}" for i in range(n_symbols)), "=", *more])

    def width(self, length: int) -> int:
        return (2 if self.then == "nothing" else 3) * (length + 1)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        word = draws.integers(0, self.n_symbols, length)
        separator, following = (torch.full_like(word[:, :1], self.n_symbols + i) for i in (0, 1))
        answer = word.flip(1)
        if self.then != "nothing":
            second = word if self.then == "copy" else answer
            answer = torch.cat([answer, following, second], dim=1)
        return prompt_and_answer(torch.cat([word, separator], dim=1), answer, self.end)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Upper bound: of the m symbols still to come it knows the multiset, see `remaining`.

        What follows a word, `;` or the end, is certain, and a second word is as hard as the first.
        """
        self.check_length(length)
        return (sum(guesses_of_remaining(length, self.n_symbols)) + 1) / (length + 1)
