"""Streams that are run backwards: gradients as if everything had been kept, in flat memory."""

import gc
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.diagnostics import observe
from lightning_posenc.model import EncoderSpec, FNet, Plain, Reformer, Reversible, reversible
from lightning_posenc.model.cache import Cache
from lightning_posenc.modules import LanguageModel
from lightning_posenc.positional import FIRE, LearnedRelativeBias, RoPE, Sinusoidal
from tests.model.peak_memory import peak_bytes

WEIGHTS = torch.linspace(-1, 1, 32)


def model(n_layers: int = 3, positional: Any = RoPE, **wiring: Any) -> Encoder:
    torch.manual_seed(0)
    wiring = {"residual": Reversible, "init_std": 0.2, "dropout": 0.1, **wiring}
    return Encoder(Dims(32, 4, n_layers, causal=False), positional, **wiring).train()


def gradients(of: Encoder, x: Tensor, **given: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs and gradients, with the random numbers of one seed."""
    torch.manual_seed(1)
    named = {"x": x, **dict(of.named_parameters())}
    out = of(x, **given)
    found = torch.autograd.grad((out * WEIGHTS).sum(), list(named.values()), allow_unused=True)
    return out.detach(), {
        name: grad for name, grad in zip(named, found, strict=True) if grad is not None
    }


@pytest.fixture
def keep_all(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it to have activations kept from then on, as autograd does by itself."""

    def now() -> None:
        monkeypatch.setattr(reversible.TwoStreams, "join", lambda _, *args: reversible.kept(*args))
        monkeypatch.setattr(reversible.TwoStreams, "end", lambda *_: None)

    return now


@pytest.mark.parametrize(
    "wiring",
    [
        {},
        {"positional": LearnedRelativeBias},
        {"positional": FIRE},
        {"positional": partial(Sinusoidal, layers=(0, 1))},
        {"mixer": Reformer},
        {
            "positional": Sinusoidal,
            "mixer": FNet,
            "norm": nn.Identity,
            "dropout": 0.0,
        },  # its branches save nothing
        {"residual": partial(Reversible, drop_path=0.3)},
    ],
    ids=str,
)
def test_gradients_are_those_of_kept_activations(wiring: dict[str, Any], keep_all: Any) -> None:
    """Of tokens, parameters and what an encoding learns, random numbers of dropout included."""
    of, x = model(**wiring), torch.randn(2, 9, 32, requires_grad=True)
    out, grads = gradients(of, x)
    keep_all()
    expected, wanted = gradients(of, x)
    torch.testing.assert_close(out, expected, rtol=0, atol=0)
    assert grads.keys() == wanted.keys()
    for name, grad in wanted.items():
        torch.testing.assert_close(grads[name], grad, rtol=1e-5, atol=1e-5, msg=name)


def test_two_streams_are_those_of_the_equations() -> None:
    of, x = model(3, dropout=0.0), torch.randn(2, 9, 32)
    first = second = x
    context: list[Any] = []
    of.mixers[0].register_forward_hook(lambda _, args, out: context.append(args[1]))
    out = of(x)
    for block in of.blocks:
        parts: Any = block
        first = first + parts.attention(parts.norm_attention(second), context[0])
        second = second + parts.feed_forward(parts.norm_feed_forward(first))
    torch.testing.assert_close(out, of.norm((first + second) / 2), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_memory_is_flat_in_depth() -> None:
    """24 layers take at most 1.3 of what 6 take; with activations kept, more than 3 times that."""
    x = torch.randn(32, 64, 32)

    def taken(n_layers: int, residual: Any) -> int:
        """By gradients of parameters too."""
        of = model(n_layers, residual=residual, dropout=0.0)
        return peak_bytes(lambda: of(x).sum().backward())

    assert taken(24, Reversible) <= 1.3 * taken(6, Reversible)
    assert taken(24, Plain) > 3 * taken(6, Plain)


def test_nothing_outlives_the_backward_pass_and_it_may_be_run_twice() -> None:
    of, x = model(), torch.randn(2, 9, 32, requires_grad=True)
    out = of(x)
    first, second = (torch.autograd.grad((out * WEIGHTS).sum(), x, retain_graph=retain)[0]
                     for retain in (True, False))  # fmt: skip
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)
    gc.disable()
    try:
        before = live_chains()
        of(x).sum().backward()
        assert live_chains() == before
    finally:
        gc.enable()


def live_chains() -> int:
    return sum(type(each) is reversible.TwoStreams for each in gc.get_objects())


def test_autocast_is_that_of_the_forward_pass(keep_all: Any) -> None:
    of, x = model(), torch.randn(2, 9, 32, requires_grad=True)

    def grads() -> dict[str, Tensor]:
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16):
            out = of(x)
        (out * WEIGHTS).sum().backward()
        named = of.named_parameters()
        found = {name: p.grad.clone() for name, p in named if p.grad is not None}
        of.zero_grad()
        return found

    got = grads()
    keep_all()
    for name, grad in grads().items():
        torch.testing.assert_close(got[name], grad, rtol=0.02, atol=0.02 * grad.abs().max().item())


def test_a_causal_model_decodes_from_a_cache_with_and_without_gradients() -> None:
    of = Encoder(Dims(32, 4, 3, causal=True), RoPE, residual=Reversible, init_std=0.2).eval()
    x, positions = torch.randn(2, 6, 32), torch.arange(6).unsqueeze(0)
    for graded in (False, True):
        cache = Cache()
        with torch.set_grad_enabled(graded):
            parts = [of(x[:, i : i + 1], positions=positions[:, : i + 1], cache=cache)
                     for i in range(6)]  # fmt: skip
        torch.testing.assert_close(torch.cat(parts, dim=1), of(x), rtol=1e-5, atol=1e-5)


def test_a_stream_is_seen_between_the_blocks() -> None:
    with observe(of := model(4)) as seen:
        of(torch.randn(2, 9, 32)).sum().backward()
    assert len(seen.hidden) == 5
    assert seen.layers == [0, 1, 2, 3]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^LanguageModel: checkpoint_activations=true is for"):
        LanguageModel(EncoderSpec(16, 2, 2, residual=Reversible), 5, checkpoint_activations=True)
    some = lambda dims, layer: (Reversible if layer else Plain)(dims, layer)  # noqa: E731
    with pytest.raises(ValueError, match=r"^Encoder: residual: all layers must be reversible"):
        model(residual=some)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_is_eager() -> None:
    of, x = model(2, dropout=0.0), torch.randn(2, 9, 32, requires_grad=True)
    out, grads = gradients(of, x)
    compiled = torch.compile(of, backend="aot_eager")
    got = compiled(x)
    torch.testing.assert_close(got.detach(), out, rtol=1e-5, atol=1e-5)
    (found,) = torch.autograd.grad((got * WEIGHTS).sum(), x)
    torch.testing.assert_close(found, grads["x"], rtol=1e-5, atol=1e-5)
