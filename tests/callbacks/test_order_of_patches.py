"""OrderSensitivity where tokens are made of patches and frames."""

import math
from functools import partial
from typing import Any

import pytest
import torch

from lightning_posenc.callbacks import OrderSensitivity
from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec, Frames, Patches
from lightning_posenc.modules import CTCModel, ImageClassifier
from lightning_posenc.positional import LearnedGrid, MixedRoPE, NoPE, RoPE

SPEC = EncoderSpec(16, 2, 2, init_std=0.3)


@pytest.mark.parametrize(
    ("positional", "n_class_tokens", "noticed", "shifted"),
    [
        (NoPE, 1, False, False),
        (MixedRoPE, 0, True, False),
        (MixedRoPE, 1, True, True),
        (partial(LearnedGrid, height=4, width=4), 1, True, None),
    ],
)
def test_patches(positional: Any, n_class_tokens: int, noticed: bool, shifted: bool | None) -> None:
    """What is relative does not feel a shift, unless a class token stays behind; a table ends."""
    inputs = partial(Patches, patch_size=2, n_channels=1, n_class_tokens=n_class_tokens)
    pooling = "class" if n_class_tokens else "mean"
    module = ImageClassifier(
        SPEC, None, 3, inputs=inputs, positional=positional, pooling=pooling
    ).eval()
    batch = Batch(torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64))
    with torch.no_grad():
        found = {name: float(x) for name, x in OrderSensitivity().measure(module, batch, 0).items()}
    for change in ("swapped", "shuffled"):
        assert (found[f"order/{change}"] > 1e-3) is noticed
    if shifted is None:
        assert math.isnan(found["order/shifted"])
    else:
        assert (found["order/shifted"] > 1e-4) is shifted
    assert (found["order/zeroed"] > 1e-3) is noticed


def test_frames() -> None:
    inputs = partial(Frames, n_features=5, subsampling=2)
    batch = Batch(torch.randn(4, 40, 5), torch.ones(4, 2).long(), torch.tensor([40, 36, 40, 38]))
    for positional, noticed in ((NoPE, False), (RoPE, True)):
        module = CTCModel(SPEC, None, 3, inputs=inputs, positional=positional).eval()
        with torch.no_grad():
            found = OrderSensitivity().measure(module, batch, 0)
        assert (float(found["order/shuffled"]) > 1e-3) is noticed
