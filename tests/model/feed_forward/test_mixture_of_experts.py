"""Experts: against the oracle, what a token may depend on, losses, training."""

import copy
import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import (
    MLP,
    DeepNorm,
    FeedForward,
    MixtureOfExperts,
    NoisyTopKRouter,
    Router,
    SwiGLU,
    SwitchRouter,
    TopKRouter,
)
from lightning_posenc.model.feed_forward.experts import grouped
from lightning_posenc.model.feed_forward.routing import Load, Routing
from lightning_posenc.model.penalties import penalties
from lightning_posenc.positional import RoPE
from lightning_posenc.positions import Places
from tests.oracles import experts as oracle

B, T, D, E = 2, 9, 12, 5
LENGTHS = [T, 6]
ROUTERS: dict[str, Any] = {
    "TopKRouter": TopKRouter,
    "probabilities": partial(TopKRouter, k=3, normalise=False),
    "SwitchRouter": partial(SwitchRouter, jitter=0.0),
    "NoisyTopKRouter": NoisyTopKRouter,
}


def layer(**options: Any) -> MixtureOfExperts:
    """One whose weights are large enough for tokens to be told apart."""
    options = {"n_experts": E, "d_ff": 7, **options}
    made = MixtureOfExperts(Dims(D, 2, 2), 0, **options)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def places(lengths: list[int] = LENGTHS) -> Places:
    return Places(torch.arange(T).unsqueeze(0), lengths=torch.tensor(lengths))


def weigh(name: str) -> Any:
    """How a router's weights follow from its logits."""
    if name in ("probabilities", "SwitchRouter"):
        return lambda logits, best: oracle.softmax(logits)[best]
    return lambda logits, best: oracle.softmax(logits[best])


def expected(of: MixtureOfExperts, x: Tensor, name: str, capacity: float | None) -> oracle.Mixed:
    numpy = {key: value.detach().numpy() for key, value in of.state_dict().items()}
    up = numpy["experts.up.weight"].reshape(E, -1, D)
    out = numpy["experts.out.weight"].reshape(E, D, -1)
    experts = [
        {"gate": up[e, :7], "up": up[e, 7:], "out": out[e]}
        if of.experts.gated
        else {"up": up[e], "out": out[e]}
        for e in range(E)
    ]
    gate, k = numpy["router.gate.weight"], of.router.k
    return oracle.mixture_of_experts(x.numpy(), LENGTHS, gate, experts, k, weigh(name), capacity)


@pytest.mark.parametrize("capacity", [None, 0.5, 100.0])
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("name", ROUTERS)
def test_equals_the_oracle(name: str, gated: bool, capacity: float | None) -> None:
    """Outputs, dropped tokens and both losses; nobody is dropped in evaluation."""
    of = layer(router=ROUTERS[name], gated=gated, capacity=capacity, balance=2.0, z=3.0).double()
    x = torch.randn(B, T, D, dtype=torch.float64)
    for training in (False, True):
        of.train(training)
        if isinstance(of.router, NoisyTopKRouter):
            of.router.eval()  # what it does in training is drawn
        wanted = expected(of, x, name, capacity if training else None)
        found = of(x, places())
        for b, length in enumerate(LENGTHS):
            np.testing.assert_allclose(
                found[b, :length].detach(), wanted.out[b, :length], rtol=1e-9, atol=1e-9
            )
        assert (wanted.n_dropped > 0) == (training and capacity == 0.5)
        penalty = of.penalty()
        assert (penalty is not None) == training
        if penalty is not None:
            assert penalty.item() == pytest.approx(2 * wanted.unbalance + 3 * wanted.z)
        assert of.penalty() is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("width", [8, 6])
def test_grouped_products_are_those_of_each_group(dtype: torch.dtype, width: int) -> None:
    """Empty groups too; by torch's own product where it takes the widths, with gradients."""
    x = torch.randn(10, width, dtype=dtype, requires_grad=True)
    weights = torch.randn(4, 16, width, dtype=dtype, requires_grad=True)
    group = [1] * 3 + [2] * 7
    found = grouped(x, weights, torch.tensor([0, 3, 10, 10]))
    wanted = torch.stack([weights[g] @ row for g, row in zip(group, x, strict=True)])
    tolerance = 0.05 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)
    given = torch.randn_like(found)
    for one, other in zip(
        torch.autograd.grad(found, [x, weights], given),
        torch.autograd.grad(wanted, [x, weights], given),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("capacity", [None, 0.6])
def test_a_token_depends_on_no_later_one_no_other_sequence_and_no_padding(
    capacity: float | None,
) -> None:
    of, x = layer(capacity=capacity).train(), torch.randn(B, T, D)
    found = of(x, places())
    later = torch.cat([x[:, :4], torch.randn(B, T - 4, D)], dim=1)
    torch.testing.assert_close(of(later, places())[:, :4], found[:, :4])
    torch.testing.assert_close(of(x[1:], places(LENGTHS[1:]))[0], found[1])
    padding = torch.cat([x[1:, :6], torch.randn(1, 3, D)], dim=1)
    torch.testing.assert_close(of(padding, places([6]))[0, :6], found[1, :6])
    torch.testing.assert_close(of(x[1:, :6])[0], found[1, :6])
    taken = of.penalty()
    of(torch.cat([x[1:, :6], torch.randn(1, 3, D)], dim=1), places([6]))
    torch.testing.assert_close(of.penalty(), taken)


@pytest.mark.parametrize(
    ("logits", "unbalance"),
    [(torch.zeros(1, 8, 4), 1.0), (torch.eye(4).repeat(1, 2, 1) * 50, 1.0), (None, 4.0)],
)
def test_unbalance_is_1_where_all_have_the_same_and_e_where_one_has_all(
    logits: Tensor | None, unbalance: float
) -> None:
    if logits is None:
        logits = F.one_hot(torch.zeros(1, 8).long(), 4) * 50.0
    routing = Routing(logits.argmax(-1, keepdim=True), torch.ones(1, 8, 1), logits)
    assert Load.of(routing).unbalance().item() == pytest.approx(unbalance, abs=1e-4)


def test_the_router_is_exact_in_half_precision_and_noisy_in_training_alone() -> None:
    """Switch, section 2.4: it decides in float32, whatever the rest computes in."""
    of, x = TopKRouter(Dims(D, 2, 2), E), torch.randn(B, T, D)
    wanted = of(x).logits
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(of.gate(x).float(), wanted)
        assert torch.equal(of(x).logits, wanted)
    for router in (SwitchRouter(Dims(D, 2, 2), E, jitter=0.2), NoisyTopKRouter(Dims(D, 2, 2), E)):
        assert not torch.equal(router(x).logits, router(x).logits)
        router.eval()
        assert torch.equal(router(x).logits, router(x).logits)


def test_noise_is_as_wide_as_it_is_learned_to_be() -> None:
    """Shazeer et al. 2017, equation 4."""
    noisy, x = NoisyTopKRouter(Dims(D, 2, 2), E), torch.randn(D)
    drawn = noisy(x.expand(1, 10_000, D)).logits
    wanted = F.softplus(noisy.noise(x))
    torch.testing.assert_close(drawn.std(dim=1)[0], wanted, rtol=0.05, atol=0)
    torch.testing.assert_close(drawn.mean(dim=1)[0], noisy.gate(x), rtol=0, atol=0.05)


def model(n_layers: int = 2, **options: Any) -> Encoder:
    options = {"n_experts": 4, "d_ff": 16, "shared": MLP, **options}
    experts = partial(MixtureOfExperts, **options)
    return Encoder(Dims(16, 2, n_layers, causal=True), RoPE, feed_forward=experts, init_std=0.3)


def test_every_parameter_learns_whoever_was_chosen() -> None:
    of = model(router=NoisyTopKRouter, capacity=1.0, dropout=0.1).train()
    out = of(torch.randn(2, 7, 16), lengths=torch.tensor([7, 4]))
    penalty = penalties(of)
    assert penalty is not None
    (out.square().mean() + penalty).backward()
    for name, parameter in of.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if "feed_forward" in name:
            assert parameter.grad.any(), name


def test_experts_start_as_a_dense_feed_forward_does() -> None:
    """Also with DeepNorm, which starts every matrix of a stack by itself."""
    dense = Encoder(Dims(64, 2, 8), feed_forward=SwiGLU, init_std=0.1)
    sparse = Encoder(
        Dims(64, 2, 8), feed_forward=partial(MixtureOfExperts, shared=SwiGLU), init_std=0.1
    )
    for path, in_dense in (
        ("experts.up.weight", "gate_and_up.weight"), ("experts.out.weight", "out.weight"),
        ("shared.out.weight", "out.weight"), ("router.gate.weight", "gate_and_up.weight"),
    ):  # fmt: skip
        found = sparse.blocks[3].get_parameter(f"feed_forward.{path}").std().item()
        wanted = dense.blocks[3].get_parameter(f"feed_forward.{in_dense}").std().item()
        assert found == pytest.approx(wanted, rel=0.15), path
    deep = Encoder(
        Dims(64, 2, 8), feed_forward=partial(MixtureOfExperts, d_ff=64), residual=DeepNorm
    )
    std = deep.blocks[3].get_parameter("feed_forward.experts.out.weight").std().item()
    assert std == pytest.approx((8 * 8) ** -0.25 * (2 / (64 + 64)) ** 0.5, rel=0.1)


def test_checkpointed_blocks_leave_no_second_loss() -> None:
    """They are computed once more in the backward pass, when the loss is long taken."""
    of, x = (
        model(capacity=0.8, router=partial(SwitchRouter, jitter=0.1)).train(),
        torch.randn(2, 7, 16),
    )
    other = copy.deepcopy(of)
    other.checkpoint_activations = True
    grads = []
    for each in (of, other):
        torch.manual_seed(0)
        out, penalty = each(x), penalties(each)
        assert penalty is not None
        (out.square().mean() + 10 * penalty).backward()
        assert penalties(each) is None
        grads.append([parameter.grad for parameter in each.parameters()])
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TopKRouter(Dims(D, 2, 2), 4, k=5), "TopKRouter: k=5 must be at most 4"),
        (
            lambda: TopKRouter(Dims(D, 2, 2), 4, k=1),
            "TopKRouter: k=1 must be at least 2, or normalise=false",
        ),
        (lambda: NoisyTopKRouter(Dims(D, 2, 2), 4, k=1), "NoisyTopKRouter: k=1 must be at least 2"),
        (lambda: layer(router=MLP), "router=MLP must make a Router: give a class"),
        (lambda: layer(router=Router), "router=Router must make a Router: it leaves methods"),
        (lambda: layer(capacity=0), r"capacity=0 must be a number in \(0"),
        (lambda: layer(shared=RoPE), "shared=RoPE must make a FeedForward"),
    ],
)
def test_mistakes_are_one_line(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("capacity", "dtype"), [(None, torch.float32), (0.8, torch.float32), (None, torch.bfloat16)]
)
def test_compiled_in_training_equals_eager(capacity: float | None, dtype: torch.dtype) -> None:
    """With the losses, which leave the compiled encoder by the side."""
    torch.compiler.reset()
    of, x = model(1, capacity=capacity).to(dtype).train(), torch.randn(2, 7, 16, dtype=dtype)
    other = copy.deepcopy(of)
    other.compile(backend="aot_eager")
    found = []
    for each in (of, other):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
            out = each(x, lengths=torch.tensor([7, 4]))
        penalty = penalties(each)
        assert penalty is not None
        (out.square().mean() + penalty).backward()
        grads = [parameter.grad for parameter in each.parameters() if parameter.grad is not None]
        found.append([out, penalty, *grads])
    tolerance = 1e-4 if dtype == torch.float32 else 0.05
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=tolerance, atol=tolerance)


def test_sigma_reparam_takes_each_expert_for_a_matrix_of_its_own() -> None:
    experts = partial(MixtureOfExperts, n_experts=4, d_ff=8)
    of = Encoder(Dims(16, 2, 2), feed_forward=experts, sigma_reparam=True, init_std=0.3)
    stacked = of.blocks[0].get_submodule("feed_forward.experts.up").weight  # type: ignore[union-attr]
    assert isinstance(stacked, Tensor)
    norms = torch.linalg.matrix_norm(stacked.unflatten(0, (8, 8)), 2)
    torch.testing.assert_close(norms, torch.ones(8), rtol=1e-3, atol=1e-3)


def test_a_stranger_that_reads_no_places_is_called_as_ever() -> None:
    class Doubles(FeedForward):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    assert Encoder(Dims(16, 2, 1), feed_forward=Doubles)(torch.randn(1, 3, 16)).shape == (1, 3, 16)
