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
    FIRE,
    ALiBi,
    Chain,
    DeBERTa,
    Factory,
    KERPLELog,
    NoPE,
    PerLayer,
    RoPE,
    ShawRelative,
    Sinusoidal,
    Site,
    T5Bias,
    TransformerXL,
    WaveletBias,
)
from lightning_posenc.positions import Grid, Jittered, Places, RandomDistances, Sequences, Shifted
from lightning_posenc.positions.places import counted, offsets
from tests.helpers import D_MODEL, N_HEADS, both_directions, dims, oracle_view
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
    "shaw": (
        partial(ShawRelative, max_distance=16),
        partial(bias.shaw, max_distance=16),
    ),
    "deberta": (
        partial(DeBERTa, max_distance=16),
        partial(disentangled.deberta, max_distance=16),
    ),
    "wavelet": (partial(WaveletBias, n_scales=2), partial(distance.wavelet, n_scales=2)),
}
each_method = pytest.mark.parametrize(("encoding", "oracle"), METHODS.values(), ids=METHODS)
POSITIONS = torch.arange(T).unsqueeze(0)


def places() -> Places:
    return RandomDistances(LONGEST).places(Sequences(1, T, torch.device("cpu")))


def drawn() -> Tensor:
    """(T, T), what query minus key counts as in one forward."""
    each = places()
    return counted(offsets(each, each), each)[0].float()


@each_method
@both_directions
def test_equals_the_oracle_at_the_drawn_distances(
    encoding: Factory, oracle: Oracle, causal: bool
) -> None:
    made, here = encoding(dims(causal, N_LAYERS)), places()
    made.check(here)
    apart = counted(offsets(here, here), here)[0]
    x, q, k = torch.randn(1, T, D_MODEL), *torch.randn(2, 1, N_HEADS, T, WIDTH)
    for layer in range(N_LAYERS):
        site = Site(layer, x, x, q, k, k, here, here, made.prepare(here, here))
        got = made.bias(site)
        assert isinstance(got, Tensor)
        for i, away in enumerate(apart):
            placed = site._replace(
                q=q[:, :, [i]], q_places=Places(torch.zeros(1, 1)), k_places=Places(-away[None])
            )
            given = oracle_view(made, placed, torch.zeros(1, N_HEADS, 1, T))
            wanted = oracle(given).bias
            assert wanted is not None
            row = got[:, :, [i]].detach().double().numpy()
            np.testing.assert_allclose(np.broadcast_to(row, wanted.shape), wanted, atol=1e-5)


def test_distances_are_the_same_everywhere_and_grow() -> None:
    for _ in range(20):
        apart = drawn()
        assert torch.equal(apart, -apart.t())
        for n in range(-T + 1, T):
            assert len(apart.diagonal(n).unique()) == 1
        of_first = apart[:, 0]
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
    for sampler in (None, RandomDistances(T - 1)):
        torch.manual_seed(0)
        outputs.append(Encoder(dims(causal), encoding, sampler)(x))
    torch.testing.assert_close(*outputs)


@each_method
def test_draws_anew_in_training_and_testing(encoding: Factory, oracle: Oracle) -> None:
    model = Encoder(dims(causal=False), encoding, RandomDistances(LONGEST), init_std=0.2)
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
        model = Encoder(dims(causal=True), encoding, RandomDistances(LONGEST), **wiring)
        outputs.append(model(x, lengths=torch.tensor([T, 5])))
        outputs[-1].square().sum().backward()
        for name, parameter in model.positional.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="max_distance=0 must be at least 1"):
        RandomDistances(0)
    x = torch.randn(1, T, D_MODEL)
    for made, sampler, said in (
        (RoPE, RandomDistances(), "RoPE computes nothing from distances alone"),
        (Sinusoidal, RandomDistances(), "Sinusoidal computes nothing from distances alone"),
        (FIRE, RandomDistances(), "FIRE computes nothing from distances alone"),
        (PerLayer.of(RoPE, NoPE), RandomDistances(), "RoPE computes nothing"),
        (ALiBi, RandomDistances(T - 2), "tokens 8 apart do not fit max_distance=7; raise"),
        (ALiBi, RandomDistances(of=Jittered()), "wants one whole number for each position"),
        (ALiBi, RandomDistances(of=Grid((3, 3))), "wants one whole number for each position"),
    ):
        with pytest.raises(ValueError, match=said):
            Encoder(dims(causal=True), made, sampler)(x)


def test_beside_an_encoding_of_distance_others_see_positions_as_they_are() -> None:
    """RoPE in a chain turns as ever; of distances, each part has the same."""
    x, outputs = torch.randn(2, T, D_MODEL), []
    for chain in (Chain.of(RoPE, ALiBi), Chain.of(RoPE, ALiBi, NoPE)):
        torch.manual_seed(0)
        outputs.append(Encoder(dims(causal=True), chain, RandomDistances(LONGEST))(x))
    torch.testing.assert_close(*outputs)
    model = Encoder(dims(causal=True), Chain.of(RoPE, ALiBi), RandomDistances(T - 1))
    plain = Encoder(dims(causal=True), Chain.of(RoPE, ALiBi))
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(x), plain(x))


def test_given_positions_are_stretched_too_and_places_are_taken_as_they_are() -> None:
    x, model = torch.randn(2, T, D_MODEL), Encoder(dims(True), ALiBi, RandomDistances(LONGEST))
    torch.manual_seed(3)
    expected = model(x)
    torch.manual_seed(3)
    torch.testing.assert_close(model(x, positions=POSITIONS + 5), expected)
    here = places()
    torch.testing.assert_close(model(x, positions=here), model(x, positions=here))
    assert not torch.allclose(model(x), model(x), atol=1e-4)


def test_a_cache_serves_one_draw() -> None:
    """Of a generation all steps have the same distances, so that nothing has to be read anew."""
    model, x = Encoder(dims(True), ALiBi, RandomDistances(LONGEST)), torch.randn(1, T, D_MODEL)
    here, cache = places(), Cache()
    parts = [
        model(x[:, start : start + 3], positions=here.first(start + 3), cache=cache)
        for start in range(0, T, 3)
    ]
    expected = model(x, positions=here)
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, rtol=0, atol=1e-5)


def test_of_other_positions() -> None:
    """Of shifted positions nobody sees the shift; the rows may be shifted each by its own."""
    sampler = RandomDistances(T - 1, of=Shifted(1000)).train()
    here = sampler.places(Sequences(4, T, torch.device("cpu")))
    assert len(here.values[:, 0].unique()) > 1
    x, model = torch.randn(4, T, D_MODEL), Encoder(dims(False), T5Bias)
    torch.testing.assert_close(model(x, positions=here), model(x))
