"""A chain of variables, each equal to plus or minus the one before."""

import itertools
import math
import string

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer


class LEGO(DecoderTask):
    """n assignments that form a chain, and a question; the answer is the sign of one variable.

    Example for n = 4: `q = - 1 , b = + q , f = - b , c = - f . f ?  ->  + <end>`. Variables and
    signs are uniform; the question is uniform over the variables of index ceil(n / 2)..n - 1
    (n = 2 and 3: the last). The length n counts the assignments. It stresses chains of content
    and of adjacency: to follow a variable from where it is set to where it is used.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466, after Zhang et al. 2022, "Unveiling Transformers with LEGO: a
    synthetic reasoning task", arXiv:2206.04301. In the first words stand around the prompt, and
    the answer is +1 or -1; the second shuffles the clauses and asks for all variables.

    Args:
        n_variables: number of variables, at least 2 and the longest possible length; the first 26
            are printed as letters.
        shuffle: whether the assignments stand in random order.

    Raises:
        ValueError: if an argument is too small.
    """

    min_length = 2

    def __init__(self, n_variables: int = 26, shuffle: bool = False) -> None:
        self.n_variables = whole(self, "n_variables", n_variables, 2)
        self.shuffle = shuffle
        letters = string.ascii_lowercase[:n_variables]
        names = [*letters, *(f"v{i}" for i in range(len(letters), n_variables))]
        super().__init__([*names, "+", "-", "=", "1", ",", ".", "?"])

    def check_length(self, length: int) -> None:
        super().check_length(length)
        if length > self.n_variables:
            raise ValueError(
                f"LEGO cannot make chains of {length} out of {self.n_variables} variables: "
                f"choose a length of at most {self.n_variables}, or n_variables={length}"
            )

    def width(self, length: int) -> int:
        return 5 * length + 4

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        plus, minus, equals, one, comma, stop, ask = range(self.n_variables, self.n_variables + 7)
        variables = draws.subset(self.n_variables, length)
        signs = draws.integers(0, 2, length)  # 1 is minus
        asked = draws.integers(_first_asked(length), length, 1)

        clauses = torch.tensor([0, equals, 0, one, comma]).repeat(len(signs), length, 1)
        clauses[..., 0] = variables
        clauses[..., 2] = torch.where(signs == 1, minus, plus)
        clauses[:, 1:, 3] = variables[:, :-1]
        if self.shuffle:
            order = draws.permutation(length)
            clauses = clauses.gather(1, order[..., None].expand_as(clauses))
        clauses[:, -1, -1] = stop
        question = torch.full_like(asked, ask)
        prompt = torch.cat([clauses.flatten(1), variables.gather(1, asked), question], dim=1)
        odd = signs.cumsum(1).gather(1, asked) % 2 == 1
        return prompt_and_answer(prompt, torch.where(odd, minus, plus), self.end)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exact.

        The last variable alone occurs once in the chain, so that the bag tells whether it is
        asked about: then the number of minus signs, k, is enough. Otherwise the last r of n signs
        do not count, with r uniform in 1..floor(n / 2) - 1 and any k of the n signs being minus:
        E[(-1)^(minus signs among r)] = K_r(k) / C(n, r), with the Krawtchouk polynomial K_r(k),
        the coefficient of z^r in (1 - z)^k (1 + z)^(n - k). The best guess is right with
        probability 1/2 + |its mean over r| / 2, over k from Binomial(n, 1/2). The end is certain.
        """
        self.check_length(length)
        n, n_asked = length, length - _first_asked(length)
        if n_asked == 1:
            return 1.0
        ways = [math.comb(n, r) for r in range(n_asked)]
        krawtchouk, advantage = ways, 0.0
        for k in range(n + 1):
            mean = sum(c / way for c, way in zip(krawtchouk[1:], ways[1:], strict=True))
            advantage += math.comb(n, k) / 2**n * abs(mean) / (n_asked - 1)
            # The next power series, up to z^(n_asked - 1): times (1 - z), over (1 + z).
            quotient = [1]
            for c in krawtchouk[1:]:
                quotient.append(c - quotient[-1])
            krawtchouk = [1, *(b - a for a, b in itertools.pairwise(quotient))]
        right = (1 + (n_asked - 1) * (1 + advantage) / 2) / n_asked
        return (right + 1) / 2


def _first_asked(length: int) -> int:
    """Index of the first variable that may be asked about."""
    return (length + 1) // 2
