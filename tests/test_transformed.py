"""What others make of a model: torch.func, torch.jit.trace, torch.export and torch.compile.

Faults F13, F14, F15 and their kind, for every encoding; what cannot be is refused in one line.
"""

import io
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, jvp, vmap

from lightning_posenc import Dims, Encoder
from lightning_posenc.positional import (
    ALiBi,
    Chain,
    CoPE,
    LearnedAbsolute,
    LieRE,
    PositionalEncoding,
    RoPE,
    TransformerXL,
)
from lightning_posenc.positions import Places, RandomDistances
from tests.cases import METHODS, Case
from tests.helpers import counted, each_method, encoder, gradients, placed, tokens

Weights = dict[str, Tensor]

# One of each way in which an encoding could stand in the way; those of all others are slow.
FEW = {"rope", "alibi", "learned-absolute", "liere", "cope"}
each_few_first = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=() if case.name in FEW else pytest.mark.slow)
        for case in METHODS
    ],
)
ignoring_torch = pytest.mark.filterwarnings(  # their own, and of sizes that a trace holds fast
    "ignore:.torch.jit",
    "ignore::torch.jit.TracerWarning",
    "ignore:There is a performance drop",
)


def weights_of(model: Encoder) -> Weights:
    return {name: value.detach() for name, value in model.named_parameters()}


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@each_method
def test_gradients_by_torch_func(case: Case) -> None:
    """F13: CoPE's own function was one that torch.func does not take."""
    model, x, positions = encoder(case, causal=True), tokens(), placed(case)
    direction = torch.randn_like(x)

    def loss(weights: Weights) -> Tensor:
        out = functional_call(model, weights, (x,), {"positions": positions})
        return (out * direction).sum()

    found = grad(loss)(weights_of(model))
    expected = gradients((model(x, positions=positions) * direction).sum(), model)
    for name, value in found.items():
        assert_near(value, expected[name])


@each_few_first
@ignoring_torch
def test_forward_mode_by_torch_func(case: Case) -> None:
    """With the default kernel too, though torch's fused one knows no forward mode."""
    model, x, positions = encoder(case, causal=True), tokens(), placed(case)
    weights = weights_of(model)
    tangents = {name: torch.randn_like(value) for name, value in weights.items()}

    def run(weights: Weights) -> Tensor:
        out: Tensor = functional_call(model, weights, (x,), {"positions": positions})
        return out

    out, tangent = jvp(run, (weights,), (tangents,))
    assert_near(out, model(x, positions=positions))
    direction = torch.randn_like(out)
    backward = gradients((model(x, positions=positions) * direction).sum(), model)
    expected = sum((backward[name] * tangents[name]).sum() for name in tangents)
    torch.testing.assert_close((tangent * direction).sum(), expected, rtol=1e-3, atol=1e-2)


@each_few_first
@ignoring_torch
def test_sequences_and_ensembles_by_vmap(case: Case) -> None:
    """Mapped over sequences, and over the weights of two models."""
    models = [encoder(case, causal=True) for _ in range(2)]
    x, positions = tokens(), placed(case)
    expected = [model(x, positions=positions) for model in models]
    states = [dict(model.named_parameters()) | dict(model.named_buffers()) for model in models]
    stacked = {name: torch.stack([state[name].detach() for state in states]) for name in states[0]}

    def run(state: Weights, x: Tensor) -> Tensor:
        out: Tensor = functional_call(models[0], state, (x,), {"positions": positions})
        return out

    assert_near(vmap(run, in_dims=(0, None))(stacked, x), torch.stack(expected))
    one = {name: value[0] for name, value in stacked.items()}
    assert_near(vmap(partial(run, one))(x.unsqueeze(1)).squeeze(1), expected[0])


@each_few_first
@ignoring_torch
def test_a_trace_serves_other_tokens_and_positions(case: Case) -> None:
    """F14, and what is traced can be saved: nothing is read off values, no function is Python's."""
    model, positions = encoder(case, causal=True), counted(case)
    inputs = {"x": tokens(), "positions": positions}
    traced = torch.jit.trace(model, example_kwarg_inputs=inputs, check_trace=False)
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    x, moved = tokens(), positions + 1 if case.limit is None else positions.flip(1)
    assert_near(torch.jit.load(file)(x=x, positions=moved), model(x, positions=moved))


@each_few_first
def test_an_export_serves_other_tokens_and_positions(case: Case) -> None:
    """F15: with the sizes of its example, and without its values."""
    model, positions = encoder(case, causal=True), counted(case)
    exported = torch.export.export(model, (tokens(),), {"positions": positions}).module()
    x, moved = tokens(), positions + 1 if case.limit is None else positions.flip(1)
    assert_near(exported(x, positions=moved), model(x, positions=moved))


@each_few_first
def test_it_compiles_to_one_graph(case: Case) -> None:
    """Where the bounds of positions are known, as samplers of positions know them."""
    model, values = encoder(case, causal=True), counted(case)
    low, high = (float(x) for x in values.aminmax())
    places, x = Places(values, low, high), tokens()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.manual_seed(0)  # of random distances
    found = compiled(x, positions=places)
    torch.manual_seed(0)
    expected = model(x, positions=places)
    assert_near(found, expected)
    direction = torch.randn_like(x)
    wanted = gradients((expected * direction).sum(), model)
    for name, value in gradients((found * direction).sum(), model).items():
        assert_near(value, wanted[name])


@pytest.mark.slow
@pytest.mark.parametrize("factory", [ALiBi, LearnedAbsolute, CoPE, LieRE, TransformerXL])
def test_a_strict_export(factory: type[PositionalEncoding]) -> None:
    model = Encoder(Dims(32, 4, 1, causal=True), factory, init_std=0.2).eval()
    exported = torch.export.export(model, (tokens(),), strict=True).module()
    x = tokens()
    assert_near(exported(x), model(x))


def test_what_draws_in_every_forward_is_not_recorded() -> None:
    dims = Dims(32, 4, 1, causal=True)
    model = Encoder(dims, Chain.of(RoPE, ALiBi), RandomDistances()).eval()
    with pytest.raises(ValueError, match="which no exported or traced program can"):
        torch.export.export(model, (tokens(),))
