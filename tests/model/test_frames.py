"""Frames as inputs: convolutions over time that padding does not reach."""

import re

import pytest
import torch

from lightning_posenc import Dims
from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec, Frames
from lightning_posenc.modules import SequenceClassifier

DIMS = Dims(16, 2, 1)


@pytest.mark.parametrize("subsampling", [1, 2, 4])
def test_padded_is_as_alone(subsampling: int) -> None:
    """For every length from 1, whatever the padding holds: so many tokens, and the same."""
    frames = Frames(DIMS, n_features=3, subsampling=subsampling)
    x, lengths = torch.randn(12, 12, 3), torch.arange(1, 13)
    padded = torch.where(torch.arange(12)[:, None] < lengths[:, None, None], x, torch.nan)
    together = frames(padded, lengths)
    n_tokens = frames.lengths(lengths).tolist()
    assert together.shape[1] == n_tokens[-1] == 12 // subsampling
    for row, (length, n) in enumerate(zip(lengths.tolist(), n_tokens, strict=True)):
        alone = frames(x[row : row + 1, :length])
        assert alone.shape[1] == n == -(-length // subsampling)
        torch.testing.assert_close(together[row, :n], alone[0], rtol=0, atol=1e-6)


def test_a_module_reads_as_many_tokens_as_come_of_the_frames() -> None:
    """And a classifier's mean is over those alone."""
    module = SequenceClassifier(
        EncoderSpec(16, 2, 1), None, 3, inputs=lambda dims, _: Frames(dims, None, 5, 4)
    ).eval()
    x, lengths = torch.randn(2, 30, 5), torch.tensor([30, 13])
    together = module(Batch(x, torch.zeros(2).long(), lengths))
    alone = module(Batch(x[1:, :13], torch.zeros(1).long()))
    torch.testing.assert_close(together[1], alone[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.zeros(2, 7, 4), "must be (B, N, n_features=5) of a floating dtype, got (2, 7, 4)"),
        (torch.zeros(2, 7).long(), "got (2, 7) of torch.int64"),
        (torch.zeros(2, 0, 5), "there are no frames"),
    ],
)
def test_what_are_no_frames(given: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=f"^Frames: .*{re.escape(said)}"):
        Frames(DIMS, n_features=5)(given)
