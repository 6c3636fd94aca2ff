"""oneDNN is left out where few numbers are activated in inference, and only while they are."""

import pytest
import torch
from torch import Tensor, nn
from torch.backends import mkldnn

from lightning_posenc.model.feed_forward.activated import FEW, activated


class Asks(nn.Module):
    """Tells whether oneDNN is there."""

    def forward(self, x: Tensor) -> Tensor:
        self.found = mkldnn.enabled
        return x


@pytest.mark.parametrize(
    ("inference", "n", "expected"), [(True, 4, False), (True, FEW + 1, True), (False, 4, True)]
)
def test_it_is_left_out_there(inference: bool, n: int, expected: bool) -> None:
    asks = Asks()
    with torch.inference_mode(inference):
        activated(asks, torch.zeros(n))
    assert asks.found is expected
    assert mkldnn.enabled


def test_it_comes_back_after_an_error() -> None:
    def fails(x: Tensor) -> Tensor:
        raise RuntimeError

    with torch.inference_mode(), pytest.raises(RuntimeError):
        activated(fails, torch.zeros(1))  # type: ignore[arg-type]
    assert mkldnn.enabled


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_numbers_are_torchs(dtype: torch.dtype) -> None:
    x = torch.linspace(-6, 6, 500, dtype=dtype)
    with torch.inference_mode():
        torch.testing.assert_close(activated(nn.GELU(), x), nn.functional.gelu(x))
