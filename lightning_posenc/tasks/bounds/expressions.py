"""Upper bounds on what can be told of an expression's value modulo m without its order.

Whoever knows more than the bag of tokens guesses no worse, so we grant the predictor all of the
expression but some swaps: places whose contents may be exchanged without changing the bag, each
exchange being as likely as not. Given that knowledge K, the value v has the characteristic numbers
phi_j = E[exp(2 pi i j v / m) | K], j in 0..m-1, and the best guess is right with probability

    max_v P(v | K) <= (1/m) sum_j |phi_j|,    so that the bound is (1/m) sum_j E|phi_j|.

Independent swaps that add to the value multiply their phi. A term r - s or s - r, with uniform
digits r and s, has E|phi_j| = rho_j = (1/m) sum_d |cos(2 pi j d / m)|.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

_MOST = 100_000  # arrangements that we enumerate
_NO_WORDS = torch.zeros(1, 0, dtype=torch.int64)


def _swap(modulus: int) -> Tensor:
    """rho, (m,)."""
    j = torch.arange(modulus, dtype=torch.float64)
    return torch.cos(2 * torch.pi * j[:, None] * j / modulus).abs().mean(1)


def _digits(modulus: int, n: int) -> Tensor:
    """All words of n digits, (m^n, n); there is one of none."""
    return torch.cartesian_prod(*[torch.arange(modulus)] * n).view(-1, n) if n else _NO_WORDS


def _bags(words: Tensor) -> Tensor:
    """The number of each word's bag."""
    if words.shape[1] == 0:
        return torch.zeros(len(words), dtype=torch.int64)
    return words.sort(1).values.unique(dim=0, return_inverse=True)[1]


def _plain_counts(n: int, modulus: int, factor: int) -> Tensor:
    """Expressions of n digits with + - *, the last term times `factor`: (bags, m) by value."""
    digits, operators = _digits(modulus, n), _digits(3, n - 1)
    total = torch.zeros(len(digits), len(operators), dtype=torch.int64)
    term = digits[:, :1].expand_as(total)
    for k in range(1, n):
        digit, operator = digits[:, k : k + 1], operators[:, k - 1]
        total = torch.where(operator == 2, total, total + term)
        term = torch.where(operator == 2, term * digit, (1 - 2 * (operator == 1).long()) * digit)
    value = (total + factor * term) % modulus
    operator_bags = _bags(operators)
    bag = _bags(digits)[:, None] * (int(operator_bags.max()) + 1) + operator_bags
    counts = torch.bincount((bag * modulus + value).flatten())
    return torch.nn.functional.pad(counts, (0, -len(counts) % modulus)).view(-1, modulus).double()


def _spread(counts: Tensor) -> Tensor:
    """E|phi_j| over bags, (m,), from the counts of values in each."""
    return torch.fft.fft(counts).abs().sum(0) / counts.sum()


@lru_cache(maxsize=256)
def plain_expression_bound(n: int, modulus: int) -> float:
    """For n digits with uniform operators + - * between them, without brackets.

    Exact up to the core's size, 4 digits for modulus 5. Longer expressions are read from the left:
    a core of 4 digits, within which digits and operators may be exchanged; then, while the
    operator that follows is *, a tail, which is known; then + or - and the next core. With t the
    product of a tail, its core adds f = A + P t to the value, P being its last term.

    Args:
        n: digits, at least 1.
        modulus: m.
    """
    core = max(k for k in range(1, 5) if k == 1 or modulus**k * 3 ** (k - 1) <= _MOST)
    if n <= core:
        counts = _plain_counts(n, modulus, 1)
        return float(counts.max(1).values.sum() / counts.sum())
    first = [_spread(_plain_counts(k, modulus, 1)) for k in range(1, core + 1)]
    by_factor = torch.stack([_spread(_plain_counts(core, modulus, t)) for t in range(modulus)])
    # The product of k uniform digits, k = 0, 1, ...: how it is distributed, and E|phi_j| with it.
    products = (_digits(modulus, 2).prod(1) % modulus).view(modulus, modulus)
    step = torch.nn.functional.one_hot(products, modulus).double().mean(1)
    factor = torch.zeros(modulus, dtype=torch.float64)
    factor[1] = 1
    tails = []
    for k in range(n - core + 1):
        tails.append((factor @ by_factor) * 3.0**-k)  # with the probability that k times * follows
        factor = factor @ step
    tail = torch.stack(tails)
    bound = torch.ones(n + 1, modulus, dtype=torch.float64)
    for k in range(1, n + 1):
        if k <= core:
            bound[k] = first[k - 1]
        else:
            rest = k - core
            bound[k] = tail[rest] + 2 / 3 * (tail[:rest] * bound[1 : rest + 1].flip(0)).sum(0)
    return float(bound[n].mean().clamp(max=1))


@lru_cache(maxsize=256)
def nested_expression_bound(length: int, modulus: int, multiply: bool) -> float:
    """For the expressions of `draw_expressions`, see `_regions`.

    Args:
        length: n.
        modulus: m.
        multiply: whether * is drawn as well as + and -.
    """
    regions = _regions(length, modulus, multiply)
    bound = (regions * _exchanges(len(regions), modulus)).sum(0)
    return float(bound.mean().clamp(max=1))


@lru_cache(maxsize=256)
def equation_bound(length: int, modulus: int) -> float:
    """For x in an expression of `draw_expressions` with + and -, its value being given.

    x is plus or minus (value - all other digits with their signs), so that these others may be
    exchanged as in `_regions`, one digit fewer.

    Args:
        length: tokens of the expression.
        modulus: m.
    """
    regions = _regions(length, modulus, multiply=False)[1:]
    bound = (regions * _exchanges(len(regions), modulus)).sum(0)
    return float(bound.mean().clamp(max=1))


def _exchanges(n: int, modulus: int) -> Tensor:
    """E|phi_j| of a sum of k digits whose signs, but for one, are fair coins: (n, m), k < n.

    min(B, k - B) pairs have unequal signs, with B ~ Binomial(k, 1/2), and the digits of each such
    pair may be exchanged.
    """
    k = torch.arange(n, dtype=torch.float64)[:, None]
    b = k.T
    log_p = torch.lgamma(k + 1) - torch.lgamma(b + 1) - torch.lgamma((k - b).clamp(min=0) + 1)
    p = torch.where(b <= k, (log_p - k * math.log(2)).exp(), 0.0)
    pairs = torch.minimum(b, k - b).clamp(min=0)
    return (p[..., None] * _swap(modulus) ** pairs[..., None]).sum(1)


def _regions(length: int, modulus: int, multiply: bool) -> Tensor:
    """What the part of a nested expression above its uppermost products adds up.

    That part is a sum of k digits and of products, with signs. Each operator flips the sign of what
    follows it directly, whatever those above it do, so that all signs but the first are fair coins.
    Products (L * R) are independent of the rest; of each we grant the value v of the shorter side,
    so that its phi_j is phi_{j v} of the longer one.

    Built from the shortest length up, because the longer sides are expressions themselves.

    Args:
        length: n.
        modulus: m.
        multiply: whether * is drawn; without it there are no products.

    Returns:
        (K, m) or (K, 1): E[the product of |phi_j| over the part's products; k digits], k < K.
    """
    n_digits = length // 4 + 2  # an expression of n tokens has at most (n + 3) / 4 digits
    columns = modulus if multiply else 1
    exchanges = _exchanges(n_digits, modulus)
    residues = torch.arange(modulus)
    a, b = residues[:, None], residues
    values = (torch.stack([a + b, a - b, a * b]) % modulus).flatten()
    value = torch.zeros(length + 5, modulus, dtype=torch.float64)  # [n, v]: P(value = v)
    value[1:5] = 1 / modulus
    spread = torch.ones(length + 5, modulus, dtype=torch.float64)  # [n, j]: E|phi_j|
    # Generating functions of k at the roots of unity, where those of two sides multiply.
    root = torch.arange(n_digits, dtype=torch.float64) * (2j * torch.pi / n_digits)
    part = torch.zeros(length + 5, n_digits, columns, dtype=torch.complex128)  # [n, root, j]
    part[1:5] = root.exp()[:, None]
    for n in range(5, length + 1):
        part[n] = (part[1 : n - 3] * part[1 : n - 3].flip(0)).mean(0)
        if multiply:
            left = torch.arange(1, n - 3)
            joint = (value[left].T @ value[n - 3 - left]).flatten() / len(left)
            value[n].index_add_(0, values, joint.repeat(3) / 3)
            longer = torch.maximum(left, n - 3 - left)
            granted = value[n - 3 - longer]
            product = torch.einsum("sjv,sv->j", spread[longer][:, a * b % modulus], granted)
            part[n] = (2 * part[n] + product / len(left)) / 3
            spread[n] = (_coefficients(part[n]) * exchanges).sum(0).clamp(max=1)
    return _coefficients(part[length])


def _coefficients(at_roots: Tensor) -> Tensor:
    """Of a generating function, by its values at the roots of unity along the first dimension."""
    return torch.fft.fft(at_roots, dim=0).real / len(at_roots)
