"""Every encoding equals its float64 transcription, through its real hooks."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_posenc.positional import T5Bias
from tests.cases import Case
from tests.helpers import (
    D_MODEL,
    N_HEADS,
    both_directions,
    completed,
    dims,
    each_case_both_ways,
    hooks,
    oracle_view,
    site_of,
)
from tests.oracles.base import Array
from tests.oracles.bias import t5_bucket

BATCH, N_KEYS, N_LAYERS = 2, 9, 3


def consecutive() -> tuple[Tensor, Tensor]:
    positions = torch.arange(N_KEYS).unsqueeze(0)
    return positions, positions


def gapped() -> tuple[Tensor, Tensor]:
    positions = torch.stack([torch.randperm(32)[:N_KEYS].sort().values for _ in range(BATCH)])
    return positions, positions


def sparse() -> tuple[Tensor, Tensor]:
    """Two positions far apart: fewer pairs than distances between them."""
    positions = torch.tensor([[0, 31]])
    return positions, positions


def off_the_lattice() -> tuple[Tensor, Tensor]:
    positions = (torch.rand(BATCH, N_KEYS) * 31).sort(dim=1).values
    return positions, positions


def last_queries() -> tuple[Tensor, Tensor]:
    """Three queries at the end of many keys, as in generation."""
    positions, _ = gapped()
    return positions[:, -3:], positions


LAYOUTS = (consecutive, gapped, sparse, off_the_lattice, last_queries)


def compared(
    case: Case, causal: bool, layout: Callable[[], tuple[Tensor, Tensor]]
) -> Iterator[tuple[str, Array, Array]]:
    """What each hook returns in each layer, its name first, beside what the oracle says."""
    encoding = case.factory(dims(causal, N_LAYERS))
    q_pos, k_pos = layout()
    n_queries, n_keys = q_pos.shape[1], k_pos.shape[1]
    x = torch.randn(BATCH, n_keys, D_MODEL)
    q = torch.randn(BATCH, N_HEADS, n_queries, D_MODEL // N_HEADS)
    k = torch.randn(BATCH, N_HEADS // 2, n_keys, D_MODEL // N_HEADS)  # grouped
    logits = torch.randn(BATCH, N_HEADS, n_queries, n_keys)
    if causal:
        logits = logits.masked_fill((q_pos[..., None] < k_pos[:, None])[:, None], -torch.inf)
    all_of_them = q_pos is k_pos
    k_pos = case.place(k_pos)
    q_pos = k_pos if all_of_them else k_pos[:, -n_queries:]
    for layer in range(N_LAYERS):
        site = site_of(encoding, layer, x, q, k, q_pos, k_pos)
        given = oracle_view(encoding, site, logits)
        expected = completed(case.oracle(given), given)
        for name, value in hooks(encoding, site, logits).items():
            wanted = expected[name]
            assert (value is None) == (wanted is None), name
            if value is not None and wanted is not None:
                got = np.broadcast_to(value.detach().double().numpy(), wanted.shape)
                yield name, got, wanted


@each_case_both_ways
@pytest.mark.parametrize("layout", LAYOUTS)
def test_hooks_equal_oracle(
    case: Case, causal: bool, layout: Callable[[], tuple[Tensor, Tensor]]
) -> None:
    for name, got, wanted in compared(case, causal, layout):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5, err_msg=name)


@both_directions
@pytest.mark.parametrize(("n_buckets", "max_distance"), [(32, 128), (8, 16), (16, 64), (64, 256)])
def test_t5_buckets_are_exact(causal: bool, n_buckets: int, max_distance: int) -> None:
    """The package takes a logarithm in float32, the oracle none; for sizes in use they agree at
    every edge. test_peers.py holds a size where rounding moves one, as in the peer."""
    encoding = T5Bias(dims(causal), n_buckets=n_buckets, max_distance=max_distance)
    deltas = range(-max_distance - 2, max_distance + 3)
    expected = [t5_bucket(delta, n_buckets, max_distance, causal) for delta in deltas]
    assert encoding.bucket(torch.tensor(deltas).float()).tolist() == expected
