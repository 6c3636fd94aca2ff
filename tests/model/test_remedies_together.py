"""All that steadies a deep model at once: compiled, recomputed, by every kernel, from a cache."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import Attention, DeepNorm, Eager, LayerScale, ReZero
from lightning_posenc.model.cache import Cache
from lightning_posenc.positional import CoPE, Factory, FoX, LearnedRelativeBias, RoPE
from tests.helpers import assert_same_gradients

T = 9
WIRINGS: dict[str, dict[str, Any]] = {
    "deep-norm": {"residual": DeepNorm},
    "layer-scale": {"residual": partial(LayerScale, init=0.5), "norm": nn.RMSNorm},
    "re-zero": {"residual": partial(ReZero, init=0.5)},
}
each_wiring = pytest.mark.parametrize("wiring", WIRINGS.values(), ids=WIRINGS)
each_encoding = pytest.mark.parametrize("positional", [RoPE, LearnedRelativeBias, CoPE, FoX])


def model(positional: Factory, wiring: dict[str, Any], n_layers: int = 2) -> Encoder:
    dims = Dims(32, 4, n_layers, causal=True)
    mixer = partial(Attention, qk_norm=wiring.get("norm", nn.LayerNorm), n_kv_heads=2)
    steady = {"mixer": mixer, "sigma_reparam": True}
    return Encoder(dims, positional, **{**steady, **wiring}).eval()


def tokens() -> Tensor:
    return torch.randn(2, T, 32)


@each_wiring
@each_encoding
def test_sdpa_equals_eager(positional: Factory, wiring: dict[str, Any]) -> None:
    ours, x = model(positional, wiring), tokens()
    oracle = copy.deepcopy(ours)
    for part in oracle.modules():
        if isinstance(part, Attention):
            part.kernel = Eager()
    out, expected = ours(x), oracle(x)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    assert_same_gradients(out, ours, expected, oracle, atol=1e-4)


@each_wiring
@each_encoding
def test_reading_from_a_cache_equals_reading_at_once(
    positional: Factory, wiring: dict[str, Any]
) -> None:
    of, x, cache = model(positional, wiring), tokens(), Cache()
    outputs = [
        of(x[:, now : now + 1], positions=torch.arange(now + 1).unsqueeze(0), cache=cache)
        for now in range(T)
    ]
    torch.testing.assert_close(torch.cat(outputs, dim=1), of(x), rtol=0, atol=1e-5)


@each_wiring
def test_checkpointed_activations_change_nothing(wiring: dict[str, Any]) -> None:
    ours, x = model(LearnedRelativeBias, wiring).train(), tokens()
    other = copy.deepcopy(ours)
    other.checkpoint_activations = True
    expected, out = ours(x), other(x)
    assert torch.equal(out, expected)
    assert_same_gradients(out, other, expected, ours, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@each_wiring
@pytest.mark.slow
def test_compiled_equals_eager(wiring: dict[str, Any]) -> None:
    torch.compiler.reset()
    of, x = model(RoPE, wiring, n_layers=1), tokens()  # compiling takes seconds a layer
    compiled, expected = torch.compile(of, backend="aot_eager")(x), of(x)
    torch.testing.assert_close(compiled, expected, rtol=0, atol=1e-5)
    assert_same_gradients(compiled, of, expected, of, atol=1e-5)


@each_wiring
def test_half_precision(wiring: dict[str, Any]) -> None:
    of, x = model(RoPE, wiring), tokens()
    expected = of(x)
    with torch.autocast("cpu", torch.bfloat16):
        out = of(x)
    assert ((out.float() - expected).norm() / expected.norm()).item() < 0.02
    whole = of.bfloat16()(x.bfloat16())
    assert whole.dtype == torch.bfloat16
    assert ((whole.float() - expected).norm() / expected.norm()).item() < 0.05
