"""What a step of decoding costs: what is remembered is neither copied nor turned anew (P5).

Shapes: B sequences, T tokens, D = d_model.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc import Encoder
from lightning_posenc.model.cache import Cache
from lightning_posenc.positional import (
    ALiBi,
    Chain,
    CoPE,
    FoX,
    NoPE,
    PerLayer,
    RoPE,
    XPos,
    rotary,
)
from tests.helpers import dims

B, T, D = 2, 12, 32


def read(of: Encoder, x: Tensor, cache: Cache, steps: list[int]) -> Tensor:
    outputs, now = [], 0
    for step in steps:
        here = torch.arange(now + step)[None]
        outputs.append(of(x[:, now : now + step], positions=here, cache=cache))
        now += step
    return torch.cat(outputs, dim=1)


@torch.no_grad()
def test_a_cache_of_known_length_holds_keys_and_values_alone() -> None:
    of, x, cache = Encoder(dims(causal=True), RoPE).eval(), torch.randn(B, T, D), Cache(T)
    read(of, x, cache, [4, 1, 1])
    n_layers = len(of.blocks)
    taken = cache.n_bytes
    assert taken == 4 * n_layers * 2 * B * T * D
    places = {id(part): part.memory.data_ptr() for part in parts(cache)}
    read_on = [of(x[:, n : n + 1], positions=torch.arange(n + 1)[None], cache=cache)
               for n in range(6, T)]  # fmt: skip
    assert len(cache) == T
    assert cache.n_bytes == taken
    assert places == {id(part): part.memory.data_ptr() for part in parts(cache)}  # none was copied
    torch.testing.assert_close(torch.cat(read_on, dim=1), of(x)[:, 6:])


def parts(cache: Cache) -> list[Any]:
    return [part for layer in cache._layers.values() for part in layer.values()]


@torch.no_grad()
def test_a_cache_of_unknown_length_is_copied_a_few_times_only() -> None:
    of, x, cache = Encoder(dims(causal=True), NoPE).eval(), torch.randn(B, 64, D), Cache()
    seen = set()
    for n in range(64):
        of(x[:, n : n + 1], positions=torch.arange(n + 1)[None], cache=cache)
        seen.add(parts(cache)[0].memory.shape[-2])
    assert seen == {1, 2, 4, 8, 16, 32, 64}


@pytest.mark.parametrize("grad_from", [0, 6])
def test_gradients_flow_through_a_cache(grad_from: int) -> None:
    """What autograd has seen is written to by no later step, whenever gradients begin."""
    of, x = Encoder(dims(causal=True), RoPE), torch.randn(B, T, D)
    cache, rows = Cache(T), []
    for n in range(T):
        with torch.set_grad_enabled(n >= grad_from):
            rows.append(of(x[:, n : n + 1], positions=torch.arange(n + 1)[None], cache=cache))
    out = torch.cat(rows[grad_from:], dim=1)
    torch.testing.assert_close(out, of(x)[:, grad_from:])
    out.square().sum().backward()
    gradients = [parameter.grad for parameter in of.parameters()]
    if grad_from == 0:
        of.zero_grad()
        of(x).square().sum().backward()
        for parameter, gradient in zip(of.parameters(), gradients, strict=True):
            torch.testing.assert_close(gradient, parameter.grad, atol=1e-4, rtol=1e-4)


def test_a_cache_begun_in_inference_mode_goes_on_outside() -> None:
    of, x, cache = Encoder(dims(causal=True), RoPE).eval(), torch.randn(B, T, D), Cache(T)
    with torch.inference_mode():
        read(of, x, cache, [4])
    with torch.no_grad():
        out = of(x[:, 4:], positions=torch.arange(T)[None], cache=cache)
        torch.testing.assert_close(out, of(x)[:, 4:])


TURNED_ONCE = [
    RoPE,
    Chain.of(RoPE, ALiBi),
    PerLayer.of(RoPE, NoPE),
]
TURNED_ANEW = [XPos, Chain.of(RoPE, CoPE)]


@torch.no_grad()
@pytest.mark.parametrize(
    ("encoding", "once"), [(e, True) for e in TURNED_ONCE] + [(e, False) for e in TURNED_ANEW]
)
def test_keys_that_stay_are_turned_once(
    encoding: Any, once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a step, only the new token is; others are turned anew where they change, or are read."""
    of, x, cache = Encoder(dims(causal=True), encoding).eval(), torch.randn(B, T, D), Cache()
    read(of, x, cache, [T - 1])
    turned: list[int] = []
    own = rotary.base.rotate

    def spied(x: Tensor, by: Any) -> Tensor:
        turned.append(x.shape[2])
        return own(x, by)

    monkeypatch.setattr(rotary.base, "rotate", spied)
    last = of(x[:, -1:], positions=torch.arange(T)[None], cache=cache)
    assert max(turned) == (1 if once else T)
    torch.testing.assert_close(last, of(x)[:, -1:])


def test_angles_of_remembered_tokens_are_not_computed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of, x, cache = Encoder(dims(causal=True), RoPE).eval(), torch.randn(B, T, D), Cache()
    read(of, x, cache, [T - 1])
    prepared: list[int] = []
    own = RoPE.angles
    monkeypatch.setattr(
        RoPE,
        "angles",
        lambda self, positions, inv_freq: (
            prepared.append(positions.shape[1]) or own(self, positions, inv_freq)
        ),
    )
    of(x[:, -1:], positions=torch.arange(T)[None], cache=cache)
    assert prepared == [1]


def test_inputs_are_kept_for_encodings_that_read_them_alone() -> None:
    x = torch.randn(B, T, D)
    for encoding, kept in ((FoX, True), (Chain.of(FoX, RoPE), True), (RoPE, False)):
        cache = Cache()
        read(Encoder(dims(causal=True), encoding), x, cache, [4, 8])
        assert all(("x" in layer) == kept for layer in cache._layers.values())


def test_an_encoding_that_reads_inputs_without_saying_so_is_told() -> None:
    class Silent(FoX):
        reads_inputs = False

    of, x = Encoder(dims(causal=True), Silent), torch.randn(B, T, D)
    of(x)
    with pytest.raises(ValueError, match="says so by reads_inputs = True"):
        read(of, x, Cache(), [4])
