"""What a mask says of runs of tokens, against what it says of each pair."""

from itertools import product

import pytest
import torch

from lightning_posenc.masks import FAR, Mask, Span
from tests.masks.test_predicates import CPU, MASKS, Rule, T

# Of two that are composed by &, each may reach a run by pairs that the other hides.
BY_PARTS = {"causal-window", "either", "streaming"}


@pytest.mark.parametrize("name", MASKS)
def test_it_is_what_any_pair_sees(name: str) -> None:
    """Of runs of all lengths; where it does not know, it says more, never less."""
    mask = MASKS[name][0].at(T, CPU)
    seen = mask.dense(T, T, CPU)[:, 0].any(0)
    exact = mask.n_sequences == 1 and name not in BY_PARTS
    for rows, columns in product((1, 2, 3, 5, T), repeat=2):
        q, k = torch.arange(0, T, rows), torch.arange(0, T, columns)
        queries = Span(q[:, None], (q[:, None] + rows - 1).clamp(max=T - 1))
        keys = Span(k, (k + columns - 1).clamp(max=T - 1))
        reached = mask.reaches(queries, keys)
        assert reached.shape == (len(q), len(k))
        for i, j in product(range(len(q)), range(len(k))):
            any_pair = seen[q[i] : q[i] + rows, k[j] : k[j] + columns].any()
            assert reached[i, j] == any_pair if exact else reached[i, j] >= any_pair


@pytest.mark.parametrize("now", [0, 4, 9])
@pytest.mark.parametrize(
    ("mask", "rule"),
    [
        (mask, rule)
        for mask, rule in MASKS.values()
        if mask.n_sequences == 1 and not mask.depends_on_length
    ],
)
def test_what_nobody_to_come_reaches(mask: Mask, rule: Rule, now: int) -> None:
    """Of tokens without end, exactly those that none of them sees."""
    coming, keys = Span(torch.tensor(now), torch.tensor(FAR)), torch.arange(T)
    reached = mask.reaches(coming, Span(keys, keys))
    later = torch.tensor([any(rule(0, q, k) for q in range(now, 4 * T)) for k in range(T)])
    assert torch.equal(reached, later)
