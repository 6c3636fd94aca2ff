"""A chain keeps what its parts promise: what does not commute is refused (F22)."""

from functools import partial
from itertools import product

import pytest
import torch

from lightning_posenc import Dims, Encoder
from lightning_posenc.positional import (
    ALiBi,
    Chain,
    FirstLayers,
    LieRE,
    NoPE,
    PartialRoPE,
    PerLayer,
    PoPE,
    PositionalEncoding,
    RoPE,
    Site,
)
from tests.cases import METHODS, Case

DIMS = Dims(16, 2, 2, causal=True)
T = 6


def _turning() -> list[Case]:
    """The first case of each class that turns queries and keys, on plain positions."""
    found: dict[type, Case] = {}
    for case in METHODS:
        encoding = case.factory(DIMS)
        plain = case.place(torch.arange(T)[None]).dim() == 2
        if plain and case.shift_invariant and encoding.planes(0) is not None:
            found.setdefault(type(encoding), case)
    return list(found.values())


@pytest.mark.slow
def test_no_pair_silently_depends_on_where_a_sequence_stands() -> None:
    """Chain(PoPE, RoPE) moved by 1.05 under a shift of 7, where each alone moves by 1e-6."""
    x, positions = torch.randn(1, T, 16), torch.arange(T)[None]
    refused, served = set(), set()
    for one, other in product(_turning(), repeat=2):
        try:
            model = Encoder(DIMS, Chain.of(one.factory, other.factory), init_std=0.3).eval()
        except ValueError as error:
            assert "do not commute" in str(error)  # noqa: PT017 (the others are served)
            refused.add((one.name, other.name))
            continue
        served.add((one.name, other.name))
        moved = model(x, positions=positions + 7) - model(x, positions=positions)
        assert moved.abs().amax() < 1e-4, (one.name, other.name)
    assert refused
    assert {(case.name, case.name) for case in _turning()} & served


@pytest.mark.parametrize(
    "parts",
    [
        (PoPE, RoPE),
        (RoPE, PoPE),
        (PoPE, PoPE),
        (LieRE, RoPE),
        (LieRE, LieRE),
        (RoPE, partial(RoPE, layout="interleaved")),
        (RoPE, partial(PartialRoPE, fraction=0.5)),
        (ALiBi, RoPE, NoPE, PoPE),
        (PerLayer.of(NoPE, RoPE), PoPE),
    ],
)
def test_what_does_not_commute_is_refused(parts: tuple[partial[PositionalEncoding], ...]) -> None:
    with pytest.raises(ValueError, match="turn queries and keys in ways that do not commute"):
        Chain.of(*parts)(DIMS)


def test_layers_apart_need_not_commute() -> None:
    Chain.of(FirstLayers.of(RoPE), PerLayer.of(NoPE, PoPE))(DIMS)
    interleaved = partial(PartialRoPE, fraction=0.5, layout="interleaved")
    Chain.of(partial(RoPE, layout="interleaved"), interleaved)(DIMS)


class Doubled(PositionalEncoding):
    """A stranger's class that scales queries."""

    def transform(self, site: Site) -> tuple[torch.Tensor, torch.Tensor]:
        return 2 * site.q, site.k


class SaysSo(Doubled):
    """The same, which says that it turns nothing."""

    def planes(self, layer: int) -> None:
        return None


def test_a_class_of_ones_own_says_that_it_commutes() -> None:
    with pytest.raises(ValueError, match="says so by `planes`"):
        Chain.of(RoPE, Doubled)(DIMS)
    Chain.of(RoPE, SaysSo)(DIMS)
