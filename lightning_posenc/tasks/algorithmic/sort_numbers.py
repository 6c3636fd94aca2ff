"""Sort a list of numbers of several digits."""

import math

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.algorithmic.close_gaps import compact
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.bounds.revealed import guesses_of_remaining
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer

COMMA, EQUALS = 10, 11  # after the digits 0..9


class SortNumbers(DecoderTask):
    """n numbers of two digits or more, a separator; the answer is the numbers in ascending order.

    Example for n = 3: `7 2 1 , 1 0 , 3 3 0 5 =  ->  1 0 , 7 2 1 , 3 3 0 5 <end>`. The length n
    counts the numbers. It stresses content that spans several tokens: each digit's worth lies in
    its place within the number.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466. There words stand around the lists.

    Args:
        max_digits: digits of the greatest numbers, 2 to 9; they are uniform in
            10..10^max_digits - 1.

    Raises:
        ValueError: if an argument is out of range.
    """

    min_length = 1

    def __init__(self, max_digits: int = 4) -> None:
        self.max_digits = whole(self, "max_digits", max_digits, 2, 9)
        super().__init__([*"0123456789", ",", "="])

    def width(self, length: int) -> int:
        return 2 * length * (self.max_digits + 1)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        numbers = draws.integers(10, 10**self.max_digits, length)
        prompt, prompt_lengths = self._written(numbers)
        answer, answer_lengths = self._written(numbers.sort(dim=1).values)
        last = prompt_lengths[:, None] - 1
        prompt.scatter_(1, last, EQUALS)
        # The last comma of the answer gives way to the end.
        return prompt_and_answer(
            prompt, answer[:, :-1], self.end, prompt_lengths, answer_lengths - 1
        )

    def _written(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """The digits of (B, n) numbers, a comma after each, and how many tokens that makes."""
        powers = 10 ** torch.arange(self.max_digits - 1, -1, -1)
        written = numbers.new_full((*numbers.shape, self.max_digits + 1), COMMA)
        keep = torch.ones_like(written, dtype=torch.bool)
        written[..., :-1] = numbers[..., None] // powers % 10
        keep[..., :-1] = numbers[..., None] >= powers
        return compact(written.flatten(1), keep.flatten(1))

    def bag_of_tokens_bound(self, length: int) -> float:
        """Upper bound, from the units alone.

        The last digit of a number is uniform and independent of the digits before it. If no other
        number shares those, it does not move the number in the list. Told all else, one knows of
        the units of the u numbers that are unique in this way only the multiset, see `remaining`;
        n - u units and all other tokens count as known. What is then known in total is concave in
        u (drawn with straight lines), so that its value at E[u] is a bound (Jensen).
        """
        self.check_length(length)
        n_heads = 10 ** (self.max_digits - 1) - 1
        n_unique = length * (1 - 1 / n_heads) ** (length - 1)
        per_head = sum(d * 9 * 10 ** (d - 1) for d in range(1, self.max_digits)) / n_heads
        n_tokens = length * (per_head + 2)  # heads, units and what follows each number
        guesses, whole = guesses_of_remaining(length, 10), math.floor(n_unique)
        guessed = sum(guesses[:whole])
        if n_unique > whole:
            guessed += (n_unique - whole) * guesses[whole]
        return (n_tokens - n_unique + guessed) / n_tokens
