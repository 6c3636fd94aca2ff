"""No tensor of a measurement grows with T²: the largest holds a block of queries."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_posenc import Dims, Encoder
from lightning_posenc.diagnostics import (
    attention_entropy,
    entropy_of,
    layer_similarity,
    observe,
    summarise,
    weights_by_block,
)
from lightning_posenc.model.kernels import Operands
from lightning_posenc.positional import RoPE

H, T, BLOCK = 8, 512, 16


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation gave."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor):
                self.numel = max(self.numel, tensor.numel())
        return out


def entropies(view: Operands) -> None:
    for _, weights in weights_by_block(view, BLOCK):
        attention_entropy(weights)


MEASUREMENTS: list[Callable[[Operands], Any]] = [
    entropies,
    lambda view: summarise(view, block=BLOCK),
    lambda view: layer_similarity(view, view, BLOCK),
    lambda view: entropy_of(view, BLOCK),
]


@pytest.mark.parametrize("lengths", [None, torch.tensor([T - 3])], ids=["full", "padded"])
@pytest.mark.parametrize("measure", MEASUREMENTS)
@torch.no_grad()
def test_the_largest_tensor(measure: Callable[[Operands], Any], lengths: Tensor | None) -> None:
    model = Encoder(Dims(64, H, 1, causal=True), RoPE).eval()
    with observe(model) as seen:
        model(torch.randn(1, T, 64), lengths=lengths)
    with Largest() as largest:
        measure(seen.attention[0])
    assert 0 < largest.numel <= H * BLOCK * (T + BLOCK)
