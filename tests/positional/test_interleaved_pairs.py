"""Interleaved pairs turn as complex numbers, and as real ones where a compiler fuses these (P7).

Shapes: B sequences, H heads, T tokens, K channels of a head.
"""

import statistics
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_posenc.positional.rotary.base import rotate, rotation

B, H, T, K = 4, 4, 256, 64


def turned(layout: str, x: Tensor) -> Tensor:
    angles = torch.arange(T)[:, None] * torch.arange(1, K // 2 + 1) / K
    return rotate(x, rotation(angles.cos()[None, None], angles.sin()[None, None], layout))  # type: ignore[arg-type]


def seconds(turn: Callable[[], Tensor]) -> float:
    took = []
    for _ in range(15):
        start = time.perf_counter()
        turn()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def test_the_two_ways_turn_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(B, H, T, K)
    expected = turned("interleaved", x)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(turned("interleaved", x), expected)


@pytest.mark.slow
def test_uncompiled_they_take_no_longer_than_halves() -> None:
    """They take a quarter of the time; as real numbers they took as long as halves."""
    x = torch.randn(B, H, T, K)
    of = {
        layout: seconds(lambda name=layout: turned(name, x)) for layout in ("interleaved", "half")
    }  # type: ignore[misc]
    assert of["interleaved"] < of["half"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # of torch
def test_they_compile_to_one_graph_without_a_warning() -> None:
    """Inductor warns of complex numbers, and makes a kernel of their own for them."""
    torch.compiler.reset()
    x = torch.randn(B, H, T, K)
    compiled = torch.compile(turned, fullgraph=True)
    torch.testing.assert_close(compiled("interleaved", x), turned("interleaved", x))
