"""DeBERTa's buckets far out."""

import torch

from lightning_posenc import Dims
from lightning_posenc.positional import DeBERTa
from lightning_posenc.positions import Places
from tests.oracles.disentangled import deberta_bucket


def test_keys_far_to_the_right_share_the_last_embedding_of_their_side() -> None:
    """C7: microsoft/DeBERTa clamps offsets to ±(max_distance - 1) before it puts them in buckets,
    so that nobody reads row 0. (transformers does not clamp: tests/peers/disentangled.py.)"""
    encoding, places = DeBERTa(Dims(32, 4, 1), 64, 16), Places(torch.arange(90).unsqueeze(0))
    rows = encoding.prepare(places, places)[0]
    assert rows[0, [63, 64, 80, 89]].tolist() == [1, 1, 1, 1]
    assert rows[[63, 64, 80, 89], 0].tolist() == [31, 31, 31, 31]
    expected = [deberta_bucket(offset, 16, 64) for offset in range(-89, 90)]
    assert encoding.bucket(torch.arange(-89, 90)).tolist() == expected
