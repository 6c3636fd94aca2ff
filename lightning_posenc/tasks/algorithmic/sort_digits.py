"""Sort a list of single tokens."""

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer


class SortDigits(DecoderTask):
    """n symbols, a separator; the answer is the symbols in ascending order, repeats included.

    Example for n = 4: `s7 s0 s31 s7 =  ->  s0 s7 s7 s31 <end>`. The length n counts the symbols;
    the order is that of their ids. It stresses content: where a symbol stands does not matter.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466. There commas stand between the symbols, and words around the
    lists.

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    min_length = 1

    def __init__(self, n_symbols: int = 50) -> None:
        self.n_symbols = whole(self, "n_symbols", n_symbols, 2)
        super().__init__([*(f"s{i}" for i in range(n_symbols)), "="])

    def width(self, length: int) -> int:
        return 2 * length + 2

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        symbols = draws.integers(0, self.n_symbols, length)
        separator = torch.full_like(symbols[:, :1], self.n_symbols)
        answer = symbols.sort(dim=1).values
        return prompt_and_answer(torch.cat([symbols, separator], dim=1), answer, self.end)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1.

        After j answers the sorted bag begins with each of the j smallest twice; the next follows.
        """
        self.check_length(length)
        return 1.0
