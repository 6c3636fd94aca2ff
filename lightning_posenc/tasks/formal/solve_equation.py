"""Which digit makes the equation true?"""

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.bounds.expressions import equation_bound
from lightning_posenc.tasks.formal.base import FormalTask
from lightning_posenc.tasks.formal.expressions import draw_expressions


class SolveEquation(FormalTask):
    """Say the digit x for which a nested expression with + and - has the given value modulo m.

    Example: ( ( 2 + x ) - 1 ) = 4 -> 3 (modulo 5).

    The expression has n - 2 tokens, see `draw_expressions`; x replaces the first digit at or after
    a uniform place, going round the end. Lengths 1 and 2 have no room for an equation: as in the
    source the question is all 0 and the answer 0.

    Stresses hierarchy: the sign of a digit hangs on the brackets around it. Deterministic
    context-free.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.

    Args:
        modulus: m, the number of digits, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    def __init__(self, modulus: int = 5) -> None:
        self.modulus = whole(self, "modulus", modulus, 2)
        digits = [str(i) for i in range(modulus)]
        super().__init__((*digits, "+", "-", "(", ")", "x", "="), digits)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        if length < 3:
            zeros = draws.integers(0, 1, length)
            return self._posed(zeros, zeros[:, 0])
        size = length - 2
        expression, value = draw_expressions(draws, size, self.modulus, multiply=False)
        place = draws.integers(0, size)
        ahead = (torch.arange(size) - place[:, None]) % size
        unknown = ahead.masked_fill(expression >= self.modulus, size).argmin(1, keepdim=True)
        solution = expression.gather(1, unknown)
        expression.scatter_(1, unknown, self.modulus + 4)
        equals = torch.full_like(value, self.modulus + 5)
        return self._posed(torch.cat([expression, torch.stack([equals, value], 1)], 1), solution)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Upper bound: see `equation_bound`."""
        self.check_length(length)
        return 1.0 if length < 3 else equation_bound(length - 2, self.modulus)
