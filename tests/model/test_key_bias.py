"""A bias that falls linearly with distance is one number for each key, in a causal model.

Shapes: B sequences, T tokens, H heads, G key-value heads, K channels of a head.
"""

from functools import partial

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import Causal, Visibility, Window
from lightning_posenc.model import SDPA, Attention, Eager
from lightning_posenc.model.kernels import Kernels, Operands, all_keys, key_bias, lookback, sdpa
from lightning_posenc.model.kernels.lookback import by_lookback
from lightning_posenc.positional import ALiBi, Chain, RoPE, Sandwich, T5Bias
from lightning_posenc.positional.bias.alibi import slopes
from lightning_posenc.positional.by_distance import ByDistance
from lightning_posenc.positions import RandomDistances, Shifted

B, T, H, G, K = 2, 23, 4, 2, 8
CPU = torch.device("cpu")
SLOPES = torch.tensor(slopes(H))


def of_linear(dtype: torch.dtype, length: int = T, n_kv_heads: int = G) -> Operands:
    made = partial(torch.randn, dtype=dtype, requires_grad=True)
    sizes = (H, n_kv_heads, n_kv_heads)
    q, k, v = (made(B, n, length, K) for n in sizes)
    at = torch.arange(length)[None]
    values = -SLOPES[:, None] * torch.arange(1 - length, length).abs()
    bias = ByDistance(values, 1 - length, at, at, 0)
    return Operands(q, k, v, bias, Visibility(Causal(), length, length, CPU), None, K**-0.5)


def gradients(out: Tensor, of: Operands, again: bool = False) -> tuple[Tensor, ...]:
    inputs = (of.q, of.k, of.v)
    return torch.autograd.grad(out.sin().sum(), inputs, create_graph=again)


@pytest.fixture(params=["at once", "in runs"])
def sized(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in runs":
        monkeypatch.setattr(all_keys, "FARTHEST", 1.0)
        monkeypatch.setattr(all_keys, "SHORTEST", 5)


@pytest.mark.usefixtures("sized")
def test_values_and_gradients_are_those_of_the_definition() -> None:
    of = of_linear(torch.float32)
    found = key_bias.slopes_of_past(of, drops=False)
    assert found is not None
    torch.testing.assert_close(found, SLOPES)
    got, wanted = key_bias.by_key_bias(of, found), Eager()(of)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
    for one, other in zip(gradients(got, of), gradients(wanted, of), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("sized")
@pytest.mark.parametrize("which", ["q", "k", "v"])
def test_channels_need_not_lie_next_to_each_other(which: str) -> None:
    """As where an encoding of one's own transposes; torch's kernel reads rows without a look."""
    of = of_linear(torch.float32, n_kv_heads=H)
    strided = torch.randn(B, H, K, T).mT.requires_grad_()
    of = of._replace(**{which: strided})
    got, wanted = key_bias.by_key_bias(of, SLOPES), Eager()(of)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
    for one, other in zip(gradients(got, of), gradients(wanted, of), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.04)]
)
@pytest.mark.parametrize("n_sequences", [1, 2])
def test_heads_that_fall_steeply_do_without_far_keys(
    dtype: torch.dtype, atol: float, n_sequences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookback, "FEWEST", 0)
    length, steep = 300, torch.tensor([4.0, 1.0, 2**-6, 0.0])
    made = torch.randn(3, n_sequences, length, H, K, dtype=dtype).transpose(2, 3).unbind(0)
    given = [x.requires_grad_() for x in made]
    assert [found is None for _, found in by_lookback(*given[:2], steep, K**-0.5)] == [False, True]
    exact = [x.detach().double().requires_grad_() for x in given]
    distances = torch.arange(length)[:, None] - torch.arange(length)
    logits = exact[0] @ exact[1].mT * K**-0.5 - steep.view(H, 1, 1) * distances
    wanted = logits.masked_fill(distances < 0, -torch.inf).softmax(-1) @ exact[2]
    got = key_bias.Falling.apply(*given, steep, K**-0.5)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), wanted, rtol=0, atol=atol)
    found = torch.autograd.grad(got.sin().sum(), given)
    for one, other in zip(found, torch.autograd.grad(wanted.sin().sum(), exact), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=4 * atol)


def test_gradients_of_gradients() -> None:
    of = of_linear(torch.float64)

    def second(out: Tensor) -> tuple[Tensor, ...]:
        first = gradients(out, of, again=True)
        return torch.autograd.grad(sum(x.square().sum() for x in first), (of.q, of.k, of.v))

    got = second(key_bias.by_key_bias(of, SLOPES))
    for one, other in zip(got, second(Eager()(of)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_logits_are_exact_at_any_length() -> None:
    """At 4096 tokens in heads that fall steeply, m · j is 2048, beside which float32 rounds."""
    length, steep = 4096, torch.tensor([0.5, 0.25, 0.01, 0.0])
    q, k, v = torch.randn(3, 1, H, length, K).unbind(0)
    got = key_bias.Falling.apply(q, k, v, steep, K**-0.5)
    last = slice(length - 50, length)
    far = torch.arange(length)[last, None] - torch.arange(length)
    logits = (q[:, :, last].double() @ k.double().mT) * K**-0.5 - steep.view(H, 1, 1) * far
    wanted = logits.masked_fill(far < 0, -torch.inf).softmax(-1) @ v.double()
    torch.testing.assert_close(got[:, :, last].double(), wanted, rtol=0, atol=5e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_has_the_bias_in_float32(dtype: torch.dtype) -> None:
    """m · j of position 2000 in bfloat16 would be off by 2."""
    of = of_linear(dtype, 600, H)
    exact = of._replace(q=of.q.double(), k=of.k.double(), v=of.v.double())
    got, wanted = key_bias.by_key_bias(of, SLOPES), Eager()(exact)
    assert got.dtype == dtype
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(got.double(), wanted, rtol=0, atol=4 * eps)


@pytest.mark.parametrize(
    ("factory", "options", "taken"),
    [
        (ALiBi, {}, True),
        (ALiBi, {"positions": Shifted(500)}, True),
        (Chain.of(ALiBi, ALiBi), {}, True),
        (Chain.of(RoPE, ALiBi), {"mixer": partial(Attention, n_kv_heads=1)}, True),
        (partial(ALiBi, form="two_sided"), {}, True),
        (ALiBi, {"mask": Window(50)}, False),
        (ALiBi, {"positions": RandomDistances(900)}, False),
        (Chain.of(ALiBi, T5Bias), {}, False),
        (Sandwich, {}, False),
    ],
)
def test_it_is_found_from_the_values(
    monkeypatch: pytest.MonkeyPatch, factory: object, options: dict[str, object], taken: bool
) -> None:
    calls = 0

    def counted(of: Operands, found: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return key_bias.by_key_bias(of, found)

    monkeypatch.setattr(sdpa, "by_key_bias", counted)
    torch.manual_seed(0)
    model = Encoder(Dims(16, 2, 2, causal=True), factory, **options)  # type: ignore[arg-type]
    x = torch.randn(2, 200, 16)
    results = []
    for kernel in (SDPA, Eager):
        for mixer in model.mixers:
            mixer.kernel = Kernels(kernel())
        torch.manual_seed(1)
        results.append(model(x))
    assert calls == 2 * taken
    torch.testing.assert_close(*results, rtol=0, atol=1e-5)
