"""What is drawn on the CPU reaches a device without anybody waiting for it (P6 of the review)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel
from lightning_posenc.positions import PositionCoupling, Positions, RandomDistances, Sequences
from tests.positions.test_places import B, T, each_sampler

META = torch.device("meta")  # which computes nothing: copies to it are seen as those to a GPU


class Copies(TorchDispatchMode):
    """Counts the copies from the CPU to the device, and those that are waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = self.waited_for = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        source = next((arg for arg in args if isinstance(arg, Tensor)), None)
        goes = isinstance(result, Tensor) and result.device == META
        if goes and source is not None and source.device.type == "cpu" and source.dim():
            self.sent += 1
            self.waited_for += not (kwargs or {}).get("non_blocking", False)
        return result


def test_a_copy_that_is_waited_for_is_seen() -> None:
    with Copies() as copies:
        torch.rand(2).to(META)
        torch.rand(2).to(META, non_blocking=True)
    assert (copies.sent, copies.waited_for) == (2, 1)


@each_sampler
def test_no_sampler_waits_for_a_copy(
    make: Callable[[], Positions], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What these read of the values they could not compute with otherwise.
    monkeypatch.setattr(PositionCoupling, "_check_room", lambda self, n_starts: None)
    sampler = make().train()
    tokens = torch.empty(B, T, dtype=torch.long, device=META)
    places = sampler.of if isinstance(sampler, RandomDistances) else sampler
    with Copies() as copies:
        drawn = places(Sequences(B, T, META, tokens=tokens))
    assert drawn.device == META
    assert not copies.waited_for


def test_a_masked_model_waits_for_no_copy() -> None:
    model = LanguageModel(EncoderSpec(16, 2, 1), 9, objective="masked").to(META)
    batch = Batch(*torch.empty(2, B, T, dtype=torch.long, device=META), numbers=torch.arange(B))
    for training in (True, False):
        with Copies() as copies:
            model.train(training)._hide(batch, 0)
        assert copies.sent
        assert not copies.waited_for
