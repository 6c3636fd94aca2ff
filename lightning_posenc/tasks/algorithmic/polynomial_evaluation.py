"""Evaluate a polynomial at a point, modulo 10."""

import torch

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.algorithmic.close_gaps import compact
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer

MINUS, X, POWER, PLUS, EQUALS, COLON, ASK = range(10, 17)  # after the digits 0..9


class PolynomialEvaluation(DecoderTask):
    """The value of x, a sum of n terms; the answer is the value of the sum modulo 10, in 0..9.

    Example for n = 2: `x = - 2 : 3 x ^ 2 + - 1 x ^ 0 ?  ->  1 <end>`, as 3 * 4 - 1 = 11. x is
    uniform in -2..2, coefficients in -3..3, exponents in 0..3 (repeats allowed, 0^0 = 1), all
    independent. The length n counts the terms. It stresses which coefficient, exponent and sign
    stand together; the order of the terms does not matter.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466. There a term reads `3 * x ** 2`, and words stand around the
    prompt and the answer.
    """

    min_length = 1

    def __init__(self) -> None:
        super().__init__([*"0123456789", "-", "x", "^", "+", "=", ":", "?"])

    def width(self, length: int) -> int:
        return 6 * length + 7

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        x = draws.integers(-2, 3, 1)
        coefficients = draws.integers(-3, 4, length)
        exponents = draws.integers(0, 4, length)
        answer = (coefficients * x**exponents).sum(1, keepdim=True) % 10

        head = torch.tensor([X, EQUALS, MINUS, 0, COLON]).repeat(len(x), 1)
        head[:, 3:4] = x.abs()
        terms = torch.tensor([MINUS, 0, X, POWER, 0, PLUS]).repeat(len(x), length, 1)
        terms[..., 1] = coefficients.abs()
        terms[..., 4] = exponents
        terms[:, -1, 5] = ASK
        tokens = torch.cat([head, terms.flatten(1)], dim=1)
        keep = torch.ones_like(tokens, dtype=torch.bool)
        keep[:, 2:3] = x < 0
        keep[:, 5::6] = coefficients < 0
        prompt, prompt_lengths = compact(tokens, keep)
        return prompt_and_answer(prompt, answer, self.end, prompt_lengths)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Upper bound.

        Let it know all but this: for each of the floor(n / 2) pairs of terms, which of the two
        coefficients goes with which of the two exponents, both ways being equally likely. Once
        one pair's sum depends on that, the best guess is right with probability 1/2 at most. The
        end is certain.
        """
        self.check_length(length)
        n_pairs, values = length // 2, range(4)
        certain = 0.0  # probability that no pair's sum depends on which goes with which
        for x in range(-2, 3):
            same = sum(
                (c - d) * (x**e - x**f) % 10 == 0
                for c in range(-3, 4)
                for d in range(-3, 4)
                for e in values
                for f in values
            )
            certain += (same / (49 * 16)) ** n_pairs / 5
        return ((1 + certain) / 2 + 1) / 2
