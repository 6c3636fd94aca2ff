"""Add two numbers, digit by digit."""

import torch

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.algorithmic.close_gaps import compact
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.bounds.revealed import guesses_of_remaining
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer

PLUS, EQUALS = 10, 11  # after the digits 0..9


class Addition(DecoderTask):
    """Two numbers, the longer of n digits; the answer is their sum, most significant digit first.

    Example for n = 3: `7 2 1 + 8 9 =  ->  8 1 0 <end>`. The pair of digit counts is uniform over
    the 2n - 1 with maximum n; a number begins with 1..9, one of a single digit with 0..9. It
    stresses alignment: digits that belong together stand at a distance that varies, and a carry
    runs against the order of writing.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466. There words stand around the prompt and the answer, and all
    pairs of digit counts are equally likely; with lengths uniform in 1..N here, pairs with a
    smaller maximum are likelier. Without the scratchpad.
    """

    min_length = 1

    def __init__(self) -> None:
        super().__init__([*"0123456789", "+", "="])

    def width(self, length: int) -> int:
        return 3 * length + 4

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        pair = draws.integers(0, 2 * length - 1, 1)
        n_a, n_b = (pair + 1).clamp(max=length), (2 * length - 1 - pair).clamp(max=length)
        place = torch.arange(length, 0, -1)  # 1 is that of the units
        a, b = (
            # Nothing is kept of the draws to the left of the leading digit.
            draws.integers(((place == n) & (n > 1)).long(), 10, length) * (place <= n)
            for n in (n_a, n_b)
        )
        total = torch.cat([torch.zeros_like(pair), a + b], dim=1)
        for column in range(length, 0, -1):
            total[:, column - 1] += total[:, column] >= 10
        total %= 10
        every = torch.ones_like(pair, dtype=torch.bool)
        plus, equals = (torch.full_like(pair, symbol) for symbol in (PLUS, EQUALS))
        prompt, prompt_lengths = compact(
            torch.cat([a, plus, b, equals], dim=1),
            torch.cat([place <= n_a, every, place <= n_b, every], dim=1),
        )
        carried = total[:, :1] > 0
        keep = torch.cat([carried, every.expand(-1, length)], dim=1)
        answer, answer_lengths = compact(total, keep)
        return prompt_and_answer(prompt, answer, self.end, prompt_lengths, answer_lengths)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Upper bound, loose.

        Let it know the other number, the leading digit of one of n digits, the digits of that
        number above the column in question, and for the m digits from there down their multiset.
        The answer so far tells no more than whether the column carries. The answer and that carry
        together are right for at most four values of the digit, one for each carry into and out
        of the column, so that a guess is right with probability at most 4 E[M_m] / m, see
        `remaining`. Three tokens count as known: what stands for the leading digit, and the end.
        """
        self.check_length(length)
        guesses = (min(1.0, 4 * p) for p in guesses_of_remaining(length, 10)[: length - 1])
        return (sum(guesses) + 3) / (length + 2)
