"""What can be guessed of a shuffled word when it is revealed token by token."""

from functools import lru_cache

import torch

from lightning_posenc.tasks.bounds.mode import mode_cdf


@lru_cache(maxsize=256)
def guesses_of_remaining(n: int, n_symbols: int) -> tuple[float, ...]:
    """E[M_m] / m for m = 1..n: the accuracy at guessing the next of m tokens of known multiset.

    M_m is the count of the commonest symbol of m, drawn uniformly out of `n_symbols`. Before the
    j-th of n tokens the multiset of the m = n - j + 1 that remain is the most that can be known
    of them without their order.
    """
    mode = torch.ones(n + 1, dtype=torch.float64)  # P(M > 0), and P(M > k) for k = 1, 2, ...
    for k in range(1, n):
        above = 1 - mode_cdf(n_symbols, n, k)
        mode += above
        if float(above[n]) < 1e-14:  # and fewer draws exceed k still less
            break
    return tuple((mode[1:] / torch.arange(1, n + 1)).tolist())
