"""What is measured while a pass runs is what is measured of a pass that was kept."""

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.diagnostics import observe
from lightning_posenc.diagnostics.measures.as_it_passes import compared, measured_as_it_passes
from lightning_posenc.diagnostics.measures.measure import measured
from lightning_posenc.diagnostics.quantities import MEASUREMENTS
from lightning_posenc.positional import RoPE

EVERY = torch.arange(12)


@torch.no_grad()
def test_numbers_are_those_of_a_kept_pass() -> None:
    model = Encoder(Dims(16, 2, 3, causal=True), RoPE).eval()
    x = torch.randn(9, 12, 16)
    with observe(model) as seen:
        model(x)
    with measured_as_it_passes(model, EVERY) as passing:
        model(x)
    found = passing.by_layer | compared(passing.states, 1.0)
    names = []
    for each in MEASUREMENTS:
        for name, layers in measured(each, seen, None).items():
            names.append(name)
            assert list(layers) == list(found[name])
            for layer, value in layers.items():
                torch.testing.assert_close(
                    torch.as_tensor(found[name][layer]), torch.as_tensor(value)
                )
    assert sorted(names) == sorted(found)
    assert passing.n_attended == 3
    assert passing.finite
    assert not passing.seen.attention, "a layer was kept"
    assert not passing.seen.hidden


@torch.no_grad()
def test_a_probe_of_some_places_counts_in_tokens() -> None:
    where = torch.linspace(-1, 1, 40)
    states = torch.stack([where, torch.ones(40)], dim=1).expand(8, -1, -1)
    noisy = states + torch.tensor([0.2, 0.0]) * torch.randn(8, 40, 2)
    every = compared([noisy], 1.0)["probe/mae"][0]
    some = compared([noisy[:, ::4]], 4.0)["probe/mae"][0]
    assert float(some) == pytest.approx(float(every), rel=0.5)
    assert float(some) > 1


@torch.no_grad()
def test_not_finite_is_said_and_not_measured() -> None:
    model = Encoder(Dims(16, 2, 3, causal=True), RoPE).eval()

    def spoil(module: object, args: object, out: Tensor) -> Tensor:
        return out * torch.nan

    model.blocks[0].register_forward_hook(spoil)
    with measured_as_it_passes(model, EVERY) as passing:
        model(torch.randn(1, 12, 16))
    assert not passing.finite
    assert len(passing.states) == 4
