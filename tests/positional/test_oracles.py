"""What the oracles alone cannot tell: edges where a formula jumps.

That hooks equal their oracles is in test_conformance.py.
"""

import pytest
import torch

from lightning_posenc.positional import T5Bias
from tests.helpers import both_directions, dims
from tests.oracles.bias import t5_bucket


@both_directions
@pytest.mark.parametrize(("n_buckets", "max_distance"), [(32, 128), (8, 16), (16, 64), (64, 256)])
def test_t5_buckets_are_exact(causal: bool, n_buckets: int, max_distance: int) -> None:
    """The package takes a logarithm in float32, the oracle none; for sizes in use they agree at
    every edge. test_peers.py holds a size where rounding moves one, as in the peer."""
    encoding = T5Bias(dims(causal), n_buckets=n_buckets, max_distance=max_distance)
    deltas = range(-max_distance - 2, max_distance + 3)
    expected = [t5_bucket(delta, n_buckets, max_distance, causal) for delta in deltas]
    assert encoding.bucket(torch.tensor(deltas).float()).tolist() == expected
