"""Tokens n apart count as the n-th of some random distances.

The shared suite knows what every pair's distance is; here it is drawn.
"""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_posenc import Encoder
from lightning_posenc.model import Attention, Eager
from lightning_posenc.model.cache import Cache
from lightning_posenc.positional import (
    ALiBi,
    Factory,
    KERPLELog,
    RandomizedDistances,
    RoPE,
    T5Bias,
    TransformerXL,
    WaveletBias,
)
from lightning_posenc.positional.bias.base import OfDistance
from lightning_posenc.positions import Jittered
from tests.helpers import D_MODEL, N_HEADS, both_directions, dims, oracle_view, site_of
from tests.oracles import bias, disentangled, distance
from tests.oracles.base import Oracle

T, LONGEST, N_LAYERS = 9, 40, 2
WIDTH = D_MODEL // N_HEADS
METHODS: dict[str, tuple[Factory, Oracle]] = {
    "transformer-xl": (TransformerXL, disentangled.transformer_xl),
    "alibi": (ALiBi, bias.alibi),
    "t5": (
        partial(T5Bias, n_buckets=8, max_distance=16),
        partial(bias.t5, n_buckets=8, max_distance=16),
    ),
    "kerple": (KERPLELog, distance.kerple_log),
    "wavelet": (partial(WaveletBias, n_scales=2), partial(distance.wavelet, n_scales=2)),
}
each_method = pytest.mark.parametrize(("encoding", "oracle"), METHODS.values(), ids=METHODS)
POSITIONS = torch.arange(T).unsqueeze(0)


def part(made: torch.nn.Module) -> OfDistance:
    assert isinstance(made, RandomizedDistances)
    (encoding,) = made.encodings
    assert isinstance(encoding, OfDistance)
    return encoding


def drawn(max_distance: int = LONGEST) -> Tensor:
    """(T, T), what query minus key counts as in one forward."""
    made = RandomizedDistances.of(ALiBi, max_distance)(dims(causal=False))
    return part(made).counted(POSITIONS.t() - POSITIONS)


@each_method
@both_directions
def test_equals_the_oracle_at_the_drawn_distances(
    encoding: Factory, oracle: Oracle, causal: bool
) -> None:
    made = RandomizedDistances.of(encoding, LONGEST)(dims(causal, N_LAYERS))
    torch.manual_seed(7)
    counted = part(made).counted(POSITIONS.t() - POSITIONS)
    x, q, k = torch.randn(1, T, D_MODEL), *torch.randn(2, 1, N_HEADS, T, WIDTH)
    for layer in range(N_LAYERS):
        torch.manual_seed(7)
        site = site_of(made, layer, x, q, k, POSITIONS, POSITIONS)
        got = made.bias(site)
        assert isinstance(got, Tensor)
        for i, away in enumerate(counted):
            placed = site._replace(q=q[:, :, [i]], q_pos=torch.zeros(1, 1), k_pos=-away[None])
            given = oracle_view(part(made), placed, torch.zeros(1, N_HEADS, 1, T))
            wanted = oracle(given).bias
            assert wanted is not None
            row = got[:, :, [i]].detach().double().numpy()
            np.testing.assert_allclose(np.broadcast_to(row, wanted.shape), wanted, atol=1e-5)


def test_distances_are_the_same_everywhere_and_grow() -> None:
    for _ in range(20):
        counted = drawn()
        assert torch.equal(counted, -counted.t())
        for n in range(-T + 1, T):
            assert len(counted.diagonal(n).unique()) == 1
        of_first = counted[:, 0]
        assert of_first[0] == 0
        assert (of_first.diff() >= 1).all()
        assert of_first[-1] <= LONGEST


def test_every_set_of_distances_is_as_likely() -> None:
    """The mean of the n-th smallest of m out of M numbers is n (M + 1) / (m + 1)."""
    draws = torch.stack([drawn()[:, 0] for _ in range(3000)])
    expected = torch.arange(T) * (LONGEST + 1) / T
    error = (draws.std(0) / len(draws) ** 0.5).clamp(min=1e-6)
    assert ((draws.mean(0) - expected) / error).abs().max() < 4


@each_method
@both_directions
def test_all_distances_there_are_in_order_is_the_encoding_itself(
    encoding: Factory, oracle: Oracle, causal: bool
) -> None:
    x = torch.randn(2, T, D_MODEL)
    outputs = []
    for factory in (encoding, RandomizedDistances.of(encoding, T - 1)):
        torch.manual_seed(0)
        outputs.append(Encoder(dims(causal), factory)(x))
    torch.testing.assert_close(*outputs)


@each_method
def test_draws_anew_in_training_and_testing(encoding: Factory, oracle: Oracle) -> None:
    model = Encoder(dims(causal=False), RandomizedDistances.of(encoding, LONGEST), init_std=0.2)
    x = torch.randn(2, T, D_MODEL)
    for mode in (True, False):
        model.train(mode)
        outputs = []
        for seed in (1, 2, 1):
            torch.manual_seed(seed)
            outputs.append(model(x))
        assert not torch.allclose(outputs[0], outputs[1], atol=1e-4)
        torch.testing.assert_close(outputs[0], outputs[2])


@each_method
def test_kernels_agree_and_gradients_arrive(encoding: Factory, oracle: Oracle) -> None:
    x = torch.randn(2, T, D_MODEL)
    outputs = []
    for wiring in ({}, {"mixer": partial(Attention, kernel=Eager)}):
        torch.manual_seed(0)
        model = Encoder(dims(causal=True), RandomizedDistances.of(encoding, LONGEST), **wiring)
        outputs.append(model(x, lengths=torch.tensor([T, 5])))
        outputs[-1].square().sum().backward()
        for name, parameter in model.positional.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="RoPE computes nothing from distances alone"):
        RandomizedDistances(dims(causal=True), RoPE)
    with pytest.raises(ValueError, match="max_distance=0 must be at least 1"):
        RandomizedDistances(dims(causal=True), ALiBi, 0)
    model = Encoder(dims(causal=True), RandomizedDistances.of(ALiBi, T - 2))
    x = torch.randn(1, T, D_MODEL)
    with pytest.raises(ValueError, match="tokens 8 apart do not fit max_distance=7; raise"):
        model(x)
    with pytest.raises(ValueError, match="decode without a cache"):
        model(x, positions=POSITIONS, cache=Cache())
    between = Encoder(dims(causal=True), RandomizedDistances.of(ALiBi), Jittered())
    with pytest.raises(ValueError, match="wants whole positions"):
        between.train()(x)
