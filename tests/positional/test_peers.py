"""Every encoding equals somebody else's implementation of it."""

import pytest
import torch

from lightning_posenc.positional import T5Bias
from tests.oracles.bias import t5_bucket
from tests.peers import PEERS, Peer
from tests.peers.base import dims
from tests.peers.bias import t5_peer


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: f"{peer.encoding}-{peer.library}")
def test_equals_peer(peer: Peer) -> None:
    compared = 0
    for ours, theirs in peer.compare():
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
        compared += ours.numel()
    assert compared


def test_t5_rounds_as_transformers_where_the_exact_bucket_differs() -> None:
    """A float32 logarithm puts distance 54 of (48 buckets, 81) into bucket 39, exactly it is 40.
    Checkpoints in circulation were trained with the peer's buckets: we side with it."""
    delta = torch.tensor([54])
    ours = T5Bias(dims(causal=True), n_buckets=48, max_distance=81).bucket(delta.float())
    assert ours == t5_peer(True, 48, 81)._relative_position_bucket(-delta, False, 48, 81)
    assert t5_bucket(54, 48, 81, causal=True) == ours.item() + 1
