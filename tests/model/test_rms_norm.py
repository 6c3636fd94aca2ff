"""The quick way of a single row is torch's way of many, and taken nowhere else."""

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.func import vmap

from lightning_posenc.model import RMSNorm


def both(**options: object) -> tuple[nn.Module, nn.Module]:
    ours, theirs = RMSNorm(48, **options), nn.RMSNorm(48, **options)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.uniform_(0.5, 2)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("options", [{}, {"eps": 1e-2}], ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 48), (48,), (1, 2, 48), (3, 1, 48)], ids=str)
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_it_is_torchs(options: dict, shape: tuple[int, ...], size: float) -> None:
    ours, theirs = both(**options)
    x = size * torch.randn(shape)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)
    with torch.inference_mode():
        found = ours(x)
        assert found.shape == shape
        torch.testing.assert_close(found, theirs(x), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, float("inf"), float("nan")])
def test_what_is_not_finite_is_as_torchs(value: float) -> None:
    ours, theirs = both(eps=1e-6)
    x = torch.full((1, 1, 48), value)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), equal_nan=True)


@pytest.mark.filterwarnings("ignore:.torch.jit", "ignore::torch.jit.TracerWarning")
def test_a_trace_keeps_no_number_of_its_example() -> None:
    ours, _ = both()
    x = torch.randn(1, 48)
    with torch.inference_mode():
        traced = torch.jit.trace(ours, torch.randn(1, 48))
        torch.testing.assert_close(traced(x), ours(x))


def test_it_compiles_to_one_graph() -> None:
    ours, _ = both()
    x = torch.randn(1, 48)
    torch.testing.assert_close(torch.compile(ours, fullgraph=True, backend="eager")(x), ours(x))


def test_a_shape_without_numbers_is_enough() -> None:
    with FakeTensorMode(), torch.inference_mode():
        assert RMSNorm(48)(torch.empty(1, 48)).shape == (1, 48)


def test_other_types_and_transforms_are_torchs() -> None:
    ours, theirs = both()
    rows = torch.randn(5, 48)
    with torch.inference_mode():
        assert torch.equal(vmap(ours)(rows), vmap(theirs)(rows))
        for dtype in (torch.bfloat16, torch.float64):
            x = torch.randn(1, 48, dtype=dtype)
            assert torch.equal(ours.to(dtype)(x), theirs.to(dtype)(x))
