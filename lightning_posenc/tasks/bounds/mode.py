"""How often the commonest symbol of a random sequence occurs: what a bag of tokens can tell.

In n draws, uniform over S symbols, let M be the count of the commonest symbol.
`F(S, n, m) = P(M <= m)` obeys a recurrence on the draw that first lifts a symbol above m:

    F(S, n, m) = F(S, n-1, m) - Binom(m; n-1, 1/S) F(S-1, n-1-m, m)

because that draw repeats a symbol drawn exactly m times before, while none of the other S-1
symbols exceeds m. All is exact up to float64 rounding.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor


def _log_binomial(n: Tensor, m: int, n_symbols: int) -> Tensor:
    """Logarithm of P(Binomial(n, 1/S) = m) for each n >= m, float64."""
    n = n.double()
    log_choose = torch.lgamma(n + 1) - math.lgamma(m + 1) - torch.lgamma(n - m + 1)
    # With one symbol every draw hits it: 0 * ln 0 must be 0.
    miss = torch.xlogy(n - m, torch.tensor(1 - 1 / n_symbols, dtype=torch.float64))
    return log_choose - m * math.log(n_symbols) + miss


def mode_cdf(n_symbols: int, n: int, m: int) -> Tensor:
    """P(M <= m), that no symbol occurs more than m times, after each of 0, 1, …, n draws.

    Args:
        n_symbols: S, at least 1.
        n: draws, at least 0.
        m: count, at least 0.

    Returns:
        (n+1,) float64.
    """
    if m >= n:
        return torch.ones(n + 1, dtype=torch.float64)
    at_most = torch.zeros(n + 1, dtype=torch.float64)
    at_most[0] = 1.0  # no symbols at all: only the empty sequence exists
    before = torch.arange(m, n)  # draws before the one that exceeds m
    for s in range(1, n_symbols + 1):
        exceeds = torch.zeros(n + 1, dtype=torch.float64)
        exceeds[m + 1 :] = _log_binomial(before, m, s).exp() * at_most[before - m]
        at_most = (1 - exceeds.cumsum(0)).clamp(0, 1)
    return at_most


@lru_cache(maxsize=256)
def expected_mode(n: int, n_symbols: int) -> float:
    """E[M], the expected count of the commonest symbol.

    Args:
        n: draws, at least 1.
        n_symbols: S, at least 1.
    """
    least = -(-n // n_symbols)  # pigeonhole: M >= n / S
    total = float(least)
    for m in range(least, n):
        above = 1 - float(mode_cdf(n_symbols, n, m)[n])
        total += above
        if above < 1e-14:
            break
    return total


@lru_cache(maxsize=256)
def guess_another(n: int, n_symbols: int) -> float:
    """Best accuracy at guessing another token of the sequence from the bag and one's own token.

    Given the bag and the own token s, another token is uniform over the other n - 1, so that the
    best guess is the commonest of them. If one symbol alone is the commonest, with count M, the
    average over s is [(n - M) M + M (M - 1)] / [n (n - 1)] = M / n; otherwise M / (n - 1).
    The value is the expectation of that.

    Args:
        n: tokens in the sequence, at least 2.
        n_symbols: S, at least 2.
    """
    unique = 0.0  # E[M; one symbol alone is the commonest]
    for m in range(max(1, n // n_symbols), n + 1):
        log_p = float(_log_binomial(torch.tensor([n]), m, n_symbols))
        others_below = float(mode_cdf(n_symbols - 1, n - m, m - 1)[n - m])
        p = n_symbols * math.exp(log_p) * others_below
        unique += m * p
        if m > n / n_symbols and p * n < 1e-14 and others_below > 0.5:
            break
    return (expected_mode(n, n_symbols) - unique / n) / (n - 1)
