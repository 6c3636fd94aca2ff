"""What is the value of a nested expression?"""

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.bounds.expressions import nested_expression_bound
from lightning_posenc.tasks.formal.base import FormalTask
from lightning_posenc.tasks.formal.expressions import draw_expressions


class ModularArithmeticBrackets(FormalTask):
    """Say the value modulo m of an expression with brackets, see `draw_expressions`.

    Example: ( ( 2 + 3 ) * ( - 1 ) ) -> 0 (modulo 5).

    Stresses hierarchy: brackets nest to any depth. Deterministic context-free.

    Deviations: the source's vocabulary also has an x that never occurs, and * without `multiply`;
    multiplication is its class's option and what its experiments use, so it is the default here.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.

    Args:
        modulus: m, the number of digits, at least 2.
        multiply: whether * is drawn as well as + and -.

    Raises:
        ValueError: if an argument is too small.
    """

    def __init__(self, modulus: int = 5, multiply: bool = True) -> None:
        self.modulus = whole(self, "modulus", modulus, 2)
        self.multiply = multiply
        digits = [str(i) for i in range(modulus)]
        super().__init__((*digits, *("+-*()" if multiply else "+-()")), digits)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        return self._posed(*draw_expressions(draws, length, self.modulus, self.multiply))

    def bag_of_tokens_bound(self, length: int) -> float:
        """Upper bound: see `nested_expression_bound`."""
        self.check_length(length)
        return nested_expression_bound(length, self.modulus, self.multiply)
