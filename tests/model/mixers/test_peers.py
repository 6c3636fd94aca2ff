"""Every mixer that a library has gives what the library's gives, of the same weights."""

from functools import partial

import pytest
import torch

from lightning_posenc import Encoder
from lightning_posenc.model import Reformer
from tests.peers.base import B, D, Peer, T, dims
from tests.peers.mixers import MIXER_PEERS, hashing_layer


@pytest.mark.slow
@pytest.mark.parametrize("peer", MIXER_PEERS, ids=lambda peer: f"{peer.encoding}-{peer.library}")
def test_equals_the_library_s(peer: Peer) -> None:
    torch.manual_seed(0)
    for ours, theirs in peer.compare():
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_chunks_of_the_sorted_sequence_let_the_future_move_the_past() -> None:
    """Why ours are of one bucket: Hugging Face's causal layer, as released, has no gradient from
    later tokens, and yet others there change what earlier ones see.
    """
    torch.manual_seed(0)
    layer, x = hashing_layer(8, 4, 0, causal=True), torch.randn(B, T, D)
    changed = torch.cat([x[:, : T // 2], torch.randn(B, T - T // 2, D)], dim=1)
    with torch.random.fork_rng():
        moved = (layer(x).hidden_states - layer(changed).hidden_states)[:, : T // 2].abs().amax()
    assert moved > 1e-2

    def early(x: torch.Tensor) -> torch.Tensor:
        of = Encoder(dims(causal=True), mixer=partial(Reformer, n_buckets=4, chunk=8)).eval()
        return of(x)[:, : T // 2]

    torch.manual_seed(0)
    expected = early(x)
    torch.manual_seed(0)
    torch.testing.assert_close(early(changed), expected, rtol=1e-5, atol=1e-6)
