"""This package's models observed: what is seen, and that nothing changes."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.diagnostics import Observation, observe, weights_by_block
from lightning_posenc.masks import Window
from lightning_posenc.model import Attention
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.kernels import Kernels, Operands
from lightning_posenc.positional import ALiBi, RoPE
from tests.cases import Case
from tests.helpers import each_method, encoder, tokens

LENGTHS = torch.tensor([10, 7, 4])


def weights_of(seen: Observation) -> list[Tensor]:
    return [torch.cat([a for _, a in weights_by_block(v, 4)], dim=2) for v in seen.attention]


def assert_seen_as_computed(seen: Observation, mixed: list[Tensor]) -> None:
    """The weights that are read off explain what the kernels gave."""
    assert len(seen.attention) == len(mixed) > 0
    for weights, operands, out in zip(weights_of(seen), seen.attention, mixed, strict=True):
        v = operands.v.repeat_interleave(weights.shape[1] // operands.v.shape[1], dim=1)
        torch.testing.assert_close(weights @ v, out, atol=1e-5, rtol=1e-4)


def hear(model: nn.Module) -> list[Tensor]:
    """A list that fills with what every kernel gives."""
    mixed: list[Tensor] = []
    for kernels in model.modules():
        if isinstance(kernels, Kernels):
            kernels.register_forward_hook(lambda _, args, out: mixed.append(out))
    return mixed


@each_method
@torch.no_grad()
def test_every_encoding(case: Case) -> None:
    model, x = encoder(case, causal=True), tokens()
    torch.manual_seed(1)  # some draw their positions
    before = model(x, lengths=LENGTHS)
    torch.manual_seed(1)
    mixed = hear(model)
    with observe(model) as seen:
        after = model(x, lengths=LENGTHS)
    assert torch.equal(before, after)
    assert len(seen.hidden) == 3
    assert_seen_as_computed(seen, mixed)
    model(x)
    assert len(seen.hidden) == 3  # the hooks are gone


def small(**wiring: Any) -> Encoder:
    return Encoder(Dims(32, 4, 3, causal=True), RoPE, init_std=0.2, **wiring)


def test_hidden_is_the_residual_stream() -> None:
    model, x = small().eval(), tokens()
    with observe(model) as seen:
        out = model(x)
    assert torch.equal(seen.hidden[0], x)
    assert torch.equal(model.norm(seen.hidden[-1]), out)
    assert all(h.shape == x.shape for h in seen.hidden)
    (grad,) = torch.autograd.grad(out.sum(), [seen.hidden[1]])
    assert grad.shape == x.shape


def test_the_last_pass_is_kept() -> None:
    model = small().eval()
    with observe(model) as seen:
        model(tokens(6))
        model(tokens(9))
    assert [h.shape[1] for h in seen.hidden] == [9] * 4
    assert [v.shape[2] for v in seen.attention] == [9] * 3


def test_what_is_taken_is_not_kept() -> None:
    model, x = small().eval(), tokens()
    with observe(model) as kept:
        model(x)
    views: list[Operands] = []
    hidden: list[Tensor] = []
    with observe(model, take_attention=views.append, take_hidden=hidden.append) as seen:
        model(x)
    assert seen.attention == seen.hidden == []
    assert all(torch.equal(a, b) for a, b in zip(hidden, kept.hidden, strict=True))
    assert all(torch.equal(a.q, b.q) for a, b in zip(views, kept.attention, strict=True))


@pytest.mark.parametrize(
    "wiring", [{"mixer": partial(Attention, n_kv_heads=2)}, {"mask": [None, Window(3)]}], ids=str
)
def test_wirings(wiring: dict[str, Any]) -> None:
    model = small(**wiring).eval()
    mixed = hear(model)
    with observe(model) as seen:
        model(tokens())
    assert_seen_as_computed(seen, mixed)


def test_a_cache() -> None:
    model, x, places = small().eval(), tokens(), torch.arange(10)[None]
    with observe(model) as whole:
        model(x)
    cache = Cache()
    model(x[:, :6], positions=places[:, :6], cache=cache)
    with observe(model) as rest:
        model(x[:, 6:], positions=places, cache=cache)
    assert rest.attention[0].shape == (3, 4, 4, 10)
    for got, all_of_it in zip(weights_of(rest), weights_of(whole), strict=True):
        torch.testing.assert_close(got, all_of_it[:, :, 6:], atol=1e-5, rtol=1e-4)


def test_checkpointed_activations_are_seen_once_and_gradients_stay() -> None:
    model, x = small().train(), tokens()
    model.checkpoint_activations = True
    model(x).square().sum().backward()
    before = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    with observe(model) as seen:
        out = model(x)
        out.square().sum().backward()
    assert (len(seen.attention), len(seen.hidden)) == (3, 4)
    after = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("in_place", [False, True])
@torch.no_grad()
def test_a_compiled_model_runs_uncompiled(in_place: bool) -> None:
    model, x = small().eval(), tokens()
    expected = model(x)
    compiled: nn.Module = model
    if in_place:
        model.compile(backend="eager")
    else:
        compiled = torch.compile(model, backend="eager")  # type: ignore[assignment]
    compiled(x)
    with observe(compiled) as seen:
        out = compiled(x)
    assert torch.equal(out, expected)
    assert (len(seen.attention), len(seen.hidden)) == (3, 4)
    compiled(x)
    assert len(seen.hidden) == 4


def test_a_failed_pass_leaves_no_trace() -> None:
    model = Encoder(Dims(32, 4, 3), ALiBi).eval()
    with pytest.raises(RuntimeError), observe(model):
        model(torch.randn(2, 5, 32, dtype=torch.float64))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with observe(model) as seen:
        model(torch.randn(2, 5, 32))
    assert len(seen.hidden) == 4
