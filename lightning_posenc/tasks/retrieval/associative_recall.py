"""Which value came with this key?"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from lightning_posenc.checks import number, whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task


class AssociativeRecall(Task):
    """Pairs of a key and a value, then the keys again among filler: say each one's value.

    The 2 n_pairs tokens of the pairs are followed by floor((T - 2 n_pairs) / 2) slots of two
    tokens. Each key stands once more, at the first token of a slot of its own; slot i = 1, 2, …
    is chosen with weight i^(power - 1), without replacement, so that early slots are the
    commonest. With two pairs and T = 10: `k5 v2 k1 v7 k1 _ _ _ k5 _`, and the second k1 says v7,
    the second k5 says v2. Keys are distinct, so are values.

    It stresses retrieval by content: a value is found through the key one token before it,
    wherever the pair stands.

    Source: Arora et al. 2023, "Zoology: Measuring and Improving Recall in Efficient Language
    Models", arXiv:2312.04927 (MQAR), and the authors' code, which the gaps follow.
    Deviations: fewer keys and values than their 4095 and 4096 by default; an odd T is allowed
    and ends in one more token of filler.

    Args:
        n_pairs: number of pairs, at least 1; T is at least 4 n_pairs.
        n_keys: number of different keys, at least n_pairs.
        n_values: number of different values, at least n_pairs and 2; they are the first tokens,
            then come the keys.
        power: exponent of the law of gaps, plus 1, in [-10, 10]; 1 draws slots uniformly.
        random_filler: fill with any keys and values instead of blanks (which are then the last
            token), so that a key may also stand where nothing is asked.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"

    def __init__(
        self,
        n_pairs: int = 4,
        n_keys: int = 64,
        n_values: int = 64,
        power: float = 0.01,
        random_filler: bool = True,
    ) -> None:
        self.n_pairs = whole(self, "n_pairs", n_pairs, 1)
        self.n_keys = whole(self, "n_keys", n_keys, n_pairs)
        self.n_classes = whole(self, "n_values", n_values, max(2, n_pairs))
        self.power = number(self, "power", power, -10, 10)
        self.random_filler = random_filler
        self.min_length = 4 * n_pairs
        self.symbols = [f"v{i}" for i in range(n_values)] + [f"k{i}" for i in range(n_keys)]
        if not random_filler:
            self.symbols.append("_")
        self.vocab_size = len(self.symbols)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        start = 2 * self.n_pairs
        keys = self.n_classes + draws.subset(self.n_keys, self.n_pairs)
        values = draws.subset(self.n_classes, self.n_pairs)
        queries = start + 2 * self._slots(draws, (length - start) // 2)
        if self.random_filler:
            tokens = draws.integers(0, self.vocab_size, length)
        else:
            tokens = keys.new_full((len(keys), length), self.vocab_size - 1)
        tokens[:, :start:2] = keys
        tokens[:, 1:start:2] = values
        targets = torch.full_like(tokens, IGNORE)
        return Sample(tokens.scatter(1, queries, keys), targets.scatter(1, queries, values))

    def _slots(self, draws: Draws, n: int) -> Tensor:
        """The slot of each key, (B, n_pairs) int64 in 0..n-1, distinct."""
        weights = torch.arange(1, n + 1, dtype=torch.float64) ** (self.power - 1)
        # Drawing one by one, each with its weight, is a race of exponential clocks.
        clocks = -(draws.uniform(n).double() + 2.0**-25).log() / weights
        return clocks.argsort(dim=1, stable=True)[:, : self.n_pairs]

    def bag_of_tokens_bound(self, length: int) -> float:
        """1 / n_pairs: exact with blanks, an upper bound with random filler.

        Which value belongs to a key is uniform over the values of the pairs. Blanks let the bag
        tell which values these are; random filler hides it.
        """
        self.check_length(length)
        return 1 / self.n_pairs
