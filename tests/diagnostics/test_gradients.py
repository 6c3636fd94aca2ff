"""Gradients through positional channels: against finite differences, autograd and laws.

Shapes: B sequences, T tokens, H heads, K channels of a head.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.data import Batch
from lightning_posenc.diagnostics.measures.gradients import gradient_of_angles, positional_gradients
from lightning_posenc.diagnostics.measures.positional_share import positional_share
from lightning_posenc.diagnostics.observing.hook_gradients import CHANNELS
from lightning_posenc.model import Reversible
from lightning_posenc.positional import (
    Chain,
    KERPLELog,
    LearnedAbsolute,
    NoPE,
    PerLayer,
    PositionalEncoding,
    RoPE,
    Rotary,
    Site,
    T5Bias,
)
from lightning_posenc.positional.rotary.base import Layout, Turn, rotate, rotation
from lightning_posenc.positional.rotary.scaling import Spectrum
from lightning_posenc.positions import Places, Randomized, Sequences
from tests.cases import Case
from tests.helpers import D_MODEL, each_method_both_ways, encoder

B, T, V = 2, 3, 5


class Model(nn.Module):
    """A token classifier, as `positional_gradients` sees it."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.embedding = nn.Embedding(V, encoder.dims.d_model)
        self.head = nn.Linear(encoder.dims.d_model, V)

    def score(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor]:
        x = self.encoder(
            self.embedding(batch.tokens),
            lengths=batch.lengths,
            positions=batch.positions,
            tokens=batch.tokens,
        )
        logits = self.head(x)
        return nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()), logits


def some_batch(b: int = B, t: int = T, **more: Any) -> Batch:
    return Batch(torch.randint(V, (b, t)), torch.randint(V, (b, t)), **more)


def model(positional: Any, n_layers: int = 2, causal: bool = False, **wiring: Any) -> Model:
    dims = Dims(8, 2, n_layers, causal)
    return Model(Encoder(dims, positional, init_std=0.4, **wiring)).eval()


class Everything(PositionalEncoding):
    """Acts in every hook and layer; whatever it hands on can be nudged."""

    def __init__(self, dims: Dims) -> None:
        super().__init__(dims)
        self.table = nn.Parameter(torch.randn(8, dims.d_model))
        self.nudges: dict[tuple[str, int], Tensor] = {}

    def nudged(self, name: str, layer: int, value: Tensor) -> Tensor:
        nudge = self.nudges.get((name, layer))
        return value if nudge is None else value + nudge

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        return self.nudged("embed", layer, x + self.table[positions])

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        turn = (1 + 0.1 * site.q_pos)[:, None, :, None].to(site.q)
        return (
            self.nudged("q", site.layer, site.q * turn),
            self.nudged("k", site.layer, site.k / turn),
        )

    def bias(self, site: Site) -> Tensor:
        return self.nudged("bias", site.layer, -0.3 * site.delta.abs().unsqueeze(1).double())

    def rescore(self, site: Site) -> Callable[[Tensor], Tensor]:
        def rescore(logits: Tensor) -> Tensor:
            return self.nudged("rescore", site.layer, logits + torch.sin(logits))

        return rescore

    def values(self, site: Site) -> Tensor:
        return self.nudged("values", site.layer, site.v * site.k)

    def output(self, site: Site, mixed: Tensor) -> Tensor:
        return self.nudged("output", site.layer, mixed + site.q)


def slopes(module: Model, batch: Batch, name: str, layer: int, shape: tuple[int, ...]) -> Tensor:
    """Central differences of the loss by every entry of a nudge."""
    encoding: Any = module.encoder.positional
    step, found = 1e-5, []
    for place in range(torch.Size(shape).numel()):
        ends = []
        for sign in (1, -1):
            nudge = torch.zeros(shape, dtype=torch.float64)
            nudge.view(-1)[place] = sign * step
            encoding.nudges = {(name, layer): nudge}
            ends.append(module.score(batch, 0)[0].detach())
        found.append((ends[0] - ends[1]) / (2 * step))
    encoding.nudges = {}
    return torch.stack(found).view(shape)


@pytest.mark.slow
def test_contributions_equal_finite_differences() -> None:
    module, batch = model(Everything).double(), some_batch()
    found = positional_gradients(module, batch)
    assert found.contributions.keys() == set(CHANNELS)
    stream, heads = (B, T, 8), (B, 2, T, 4)
    for layer in range(2):
        slope = partial(slopes, module, batch, layer=layer)
        expected = {
            "embed": slope(name="embed", shape=stream).norm(),
            "transform": torch.hypot(
                slope(name="q", shape=heads).norm(), slope(name="k", shape=heads).norm()
            ),
            "bias": slope(name="bias", shape=(1, 1, T, T)).norm(),
            "rescore": slope(name="rescore", shape=(B, 2, T, T)).norm(),
            "values": slope(name="values", shape=heads).norm(),
            "output": slope(name="output", shape=heads).norm(),
        }
        for channel, norm in expected.items():
            assert found.contributions[channel][layer] == pytest.approx(float(norm), rel=1e-4)
        # embed only adds: the stream before it has the gradient of the stream after it
        assert found.residual[layer] == pytest.approx(float(expected["embed"]), rel=1e-4)
        share = positional_share(slope(name="embed", shape=stream).float())
        assert found.share[layer] == pytest.approx(float(share), abs=1e-4)
    assert len(found.residual) == len(found.share) == 3
    (grad,) = torch.autograd.grad(module.score(batch, 0)[0], [module.encoder.positional.table])
    assert found.parameters["table"] == pytest.approx(float(grad.norm()), rel=1e-5)


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_gradient_of_angles(layout: Layout) -> None:
    x, angles = torch.randn(B, 2, T, 10), torch.randn(B, 2, T, 4).requires_grad_()
    turned = rotate(x, rotation(angles.cos(), angles.sin(), layout))  # two channels stay
    weights = torch.randn_like(turned)
    (expected,) = torch.autograd.grad((turned * weights).sum(), angles)
    torch.testing.assert_close(gradient_of_angles(turned, weights, 4, layout), expected)


class Angles(Rotary):
    """Its angles are parameters, those of queries and those of keys."""

    def __init__(self, dims: Dims, layout: Layout) -> None:
        super().__init__(dims, layout)
        self.of_q, self.of_k = (nn.Parameter(torch.randn(B, 2, T, 2)) for _ in range(2))

    def spectrum(self, positions: Tensor) -> Spectrum:
        raise AssertionError("`prepare` gives the rotations: no frequencies are asked for")

    def prepare(self, q_places: Places, k_places: Places) -> Turn:
        turns = (
            rotation(a.cos()[None], a.sin()[None], self.layout) for a in (self.of_q, self.of_k)
        )
        return Turn(*turns, 1.0)


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_planes_equal_autograd(layout: Layout) -> None:
    module, batch = model(partial(Angles, layout=layout), n_layers=1), some_batch()
    found = positional_gradients(module, batch)
    encoding = module.encoder.positional
    grads = torch.autograd.grad(module.score(batch, 0)[0], [encoding.of_q, encoding.of_k])
    expected = torch.cat(grads).square().sum(dim=(0, 1, 2)).sqrt()
    torch.testing.assert_close(found.planes[0], expected)


def test_planes_of_composites_are_told_by_the_models_layer() -> None:
    module = model(PerLayer.of(NoPE, Chain.of(RoPE, KERPLELog)), n_layers=4)
    found = positional_gradients(module, some_batch())
    assert found.planes.keys() == {1, 3}
    assert found.contributions["transform"].keys() == found.contributions["bias"].keys() == {1, 3}
    assert found.planes[3].shape == (2,)


def test_positions_equal_autograd_with_float_positions() -> None:
    module, batch = model(RoPE), some_batch()
    found = positional_gradients(module, batch)
    floats = torch.arange(T).float().unsqueeze(0).requires_grad_()
    loss = module.score(batch._replace(positions=floats), 0)[0]
    (expected,) = torch.autograd.grad(loss, [floats])
    torch.testing.assert_close(found.positions, expected)
    assert positional_gradients(module, batch, with_positions=False).positions is None


def test_positions_are_those_that_were_drawn() -> None:
    """A sampler's draw is used once more, not drawn anew: ∂loss/∂positions is that of the loss."""
    module, batch = model(RoPE, positions=Randomized(1000)), some_batch()
    torch.manual_seed(1)
    found = positional_gradients(module, batch)
    torch.manual_seed(1)
    drawn = module.encoder.positions(Sequences(B, T, torch.device("cpu")))
    fixed = positional_gradients(module, batch._replace(positions=drawn))
    torch.testing.assert_close(found.positions, fixed.positions)


@each_method_both_ways
def test_every_encoding(case: Case, causal: bool) -> None:
    module, batch = Model(encoder(case, causal)), some_batch(3, 10)
    assert module.encoder.dims.d_model == D_MODEL
    hooks_before = [dict(vars(part)) for part in module.encoder.positional.modules()]
    found = positional_gradients(module, batch)
    assert [dict(vars(part)) for part in module.encoder.positional.modules()] == hooks_before
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(norm > 0 for norm in found.residual)
    acts = case.name != "nope"
    assert bool(found.contributions) == acts
    assert all(norm > 0 for layers in found.contributions.values() for norm in layers.values())
    if case.differentiable:
        assert found.positions is not None
        if case.shift_invariant:
            assert abs(found.positions.sum()) < 1e-5 < found.positions.abs().max()
    elif found.positions is not None:
        assert found.positions.isfinite().all()


def test_a_table_does_not_know_only_distances() -> None:
    found = positional_gradients(model(LearnedAbsolute), some_batch())
    assert found.positions is not None
    assert abs(found.positions.sum()) > 0.1 * found.positions.abs().sum()


class WholeOnly(PositionalEncoding):
    """Looks its positions up, as an encoding of somebody's own may."""

    def __init__(self, dims: Dims) -> None:
        super().__init__(dims)
        self.table = nn.Embedding(T, dims.d_model)

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        return x + self.table(positions)


def test_an_encoding_of_whole_numbers_has_no_gradient_of_positions() -> None:
    assert positional_gradients(model(WholeOnly), some_batch()).positions is None


def test_a_pass_that_fails_for_another_reason_is_heard_of() -> None:
    """Not every RuntimeError means that an encoding takes whole numbers only."""

    class Scarce(RoPE):
        def prepare(self, q_places: Places, k_places: Places) -> Turn:
            if not q_places.is_whole and q_places.values.shape[1] == T:
                raise RuntimeError("no memory for all pairs")
            return super().prepare(q_places, k_places)

    with pytest.raises(RuntimeError, match="no memory for all pairs"):
        positional_gradients(model(Scarce), some_batch())


def test_steps_of_a_bucketed_bias_have_no_slope() -> None:
    assert positional_gradients(model(T5Bias), some_batch()).positions is None


def test_nothing_is_left_behind() -> None:
    module, batch = model(partial(Chain, parts=[RoPE, KERPLELog])), some_batch()
    module.encoder.checkpoint_activations = True
    module.train()
    loss = module.score(batch, 0)[0]
    loss.backward()
    before = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    checkpointed = positional_gradients(module, batch)
    module.encoder.checkpoint_activations = False
    whole = positional_gradients(module, batch)
    assert checkpointed._replace(planes={}, positions=None) == whole._replace(
        planes={}, positions=None
    )
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, before[name])
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())
    assert torch.equal(module.score(batch, 0)[0], loss)


def test_a_frozen_model_and_a_scaled_loss() -> None:
    module, batch = model(LearnedAbsolute), some_batch()
    found = positional_gradients(module, batch, scale=2.0**12)
    again = positional_gradients(module, batch)
    assert found.parameters["table"] == pytest.approx(again.parameters["table"], rel=1e-6)
    assert found.residual == pytest.approx(again.residual, rel=1e-6)
    torch.testing.assert_close(found.positions, again.positions)
    module.requires_grad_(False)
    frozen = positional_gradients(module, batch)
    assert frozen.parameters == {}
    assert frozen.residual == pytest.approx(again.residual, rel=1e-6)


def test_under_no_grad_as_well() -> None:
    module, batch = model(RoPE), some_batch()
    with torch.no_grad():
        found = positional_gradients(module, batch)
    assert found.contributions["transform"][0] > 0
    assert found.positions is not None


def test_what_fails_for_another_reason_is_not_hidden() -> None:
    """Only whole numbers that the encoding wants whole are no error."""
    module, batch = model(Everything).double(), some_batch()
    assert positional_gradients(module, batch).positions is None
    floats = torch.arange(T).float().unsqueeze(0)
    with pytest.raises(IndexError):
        positional_gradients(module, batch._replace(positions=floats))


def test_two_streams_have_the_gradients_that_autograd_has() -> None:
    """Reversible blocks give both streams; the one that the next block reads is looked at."""
    dims = Dims(D_MODEL, 2, 3, causal=True)
    model = Model(Encoder(dims, T5Bias, residual=Reversible, init_std=0.3))
    for parameter in model.encoder.positional.parameters():
        nn.init.normal_(parameter)
    batch = some_batch(2, 6)
    found = positional_gradients(model, batch)
    model.score(batch, 0)[0].backward()
    assert len(found.residual) == 4
    assert all(norm > 0 for norm in found.residual)
    for name, parameter in model.encoder.positional.named_parameters():
        assert parameter.grad is not None
        assert found.parameters[name] == pytest.approx(float(parameter.grad.norm()), rel=1e-4)
