"""How far apart tokens may be before XPos's powers leave their dtype (F8)."""

import pytest
import torch

from lightning_posenc import Dims, Encoder
from lightning_posenc.positional import XPos

DIMS = Dims(32, 1, 1, causal=True)


def far(span: int) -> torch.Tensor:
    return torch.tensor([[0, 1, span - 1, span]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_positions_are_served_as_far_as_the_dtype_reaches_and_no_farther(
    dtype: torch.dtype,
) -> None:
    """Two tokens of a model at positions 98,000 apart were NaN."""
    encoding = XPos(DIMS)
    # The powers are float32's wherever queries and keys are no float16.
    reach = int(encoding.farthest(torch.float16 if dtype == torch.float16 else torch.float32))
    model, x = Encoder(DIMS, XPos).to(dtype), torch.randn(1, 4, 32, dtype=dtype)
    with torch.no_grad():
        assert model(x, positions=far(reach)).isfinite().all()
        with pytest.raises(ValueError, match=f"hold for {reach + 1} consecutive"):
            model(x, positions=far(reach + 2))
    assert 60_000 < reach < 72_000 or (dtype == torch.float16 and 6_000 < reach < 9_000)


def test_what_counts_is_the_distance_and_not_the_place() -> None:
    model, x = Encoder(DIMS, XPos), torch.randn(1, 4, 32)
    assert model(x, positions=far(1000) + 10**6).isfinite().all()
