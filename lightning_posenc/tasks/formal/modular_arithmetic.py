"""What is the value of a sum of products?"""

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.bounds.expressions import plain_expression_bound
from lightning_posenc.tasks.formal.base import FormalTask


class ModularArithmetic(FormalTask):
    """Say the value modulo m of an expression of digits with +, - and *, * first, no brackets.

    Example: 1 + 2 * 3 -> 2; 1 - 1 - 1 -> 4 (modulo 5).

    Digits and operators are independent and uniform. Expressions have odd lengths: an even length
    n makes those of n - 1, as in the source.

    Stresses local order (which operator stands before a digit) and precedence. Regular.

    Deviations: the source's vocabulary also has a blank that never occurs; it multiplies without
    reducing, so that its 32-bit products overflow in chains of 14 or more nonzero factors, which
    are rare.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.

    Args:
        modulus: m, the number of digits, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    def __init__(self, modulus: int = 5) -> None:
        self.modulus = whole(self, "modulus", modulus, 2)
        digits = [str(i) for i in range(modulus)]
        super().__init__((*digits, "+", "-", "*"), digits)

    def width(self, length: int) -> int:
        return length - (length + 1) % 2 + 1

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        length -= (length + 1) % 2
        digits = draws.integers(0, self.modulus, length // 2 + 1)
        operators = draws.integers(0, 3, length // 2)
        question = digits.new_empty(len(digits), length)
        question[:, ::2] = digits
        question[:, 1::2] = operators + self.modulus
        return self._posed(question, self._value(digits, operators))

    def _value(self, digits: Tensor, operators: Tensor) -> Tensor:
        """(B,): the `total` of closed terms and the `term` that may still be multiplied."""
        times = (operators == 2).T.contiguous()
        signed = (digits[:, 1:] * (1 - 2 * (operators == 1).long())).T.contiguous()
        term = digits[:, 0]
        total = torch.zeros_like(term)
        for product, digit in zip(times, signed, strict=True):
            total = total + term.masked_fill(product, 0)
            term = torch.where(product, term * digit % self.modulus, digit)
        return (total + term) % self.modulus

    def bag_of_tokens_bound(self, length: int) -> float:
        """Upper bound, exact for the shortest lengths: see `plain_expression_bound`."""
        self.check_length(length)
        return plain_expression_bound((length + 1) // 2, self.modulus)
