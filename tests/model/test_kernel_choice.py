"""Which kernel takes what the hooks returned, and what rows of one formula give."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from lightning_posenc import Dims, Encoder
from lightning_posenc.diagnose import costs
from lightning_posenc.diagnostics import observe
from lightning_posenc.masks import Causal, Mask, Padding, Window
from lightning_posenc.model import SDPA, Attention, Eager, Flex, Kernel
from lightning_posenc.model.kernels import Kernels, Operands, attention_weights, logits
from lightning_posenc.positional import DAPE, ALiBi, Factory, KERPLELog, NoPE, RoPE
from lightning_posenc.positional.by_distance import ByDistance
from tests.helpers import operands

B, T, S, H, G, K = 2, 5, 7, 4, 2, 8


def some(**changed: object) -> Operands:
    q, (k, v) = torch.randn(B, H, T, K), torch.randn(2, B, G, S, K)
    return operands(q, k, v)._replace(**changed)


def chosen(kernel: Kernel, given: Operands) -> type[Kernel]:
    return type(Kernels(kernel).serving(given))


@pytest.mark.filterwarnings("ignore:`torch.jit.script`")  # which forward-mode loads
def test_the_first_kernel_that_serves_is_taken() -> None:
    plain, rescored = some(), some(rescore=torch.tanh)
    assert [chosen(kernel(), plain) for kernel in (Eager, SDPA, Flex)] == [Eager, SDPA, SDPA]
    assert {chosen(kernel(), rescored) for kernel in (Eager, SDPA, Flex)} == {Eager}
    with forward_ad.dual_level():
        dual = some(bias=forward_ad.make_dual(torch.zeros(1, 1, T, S), torch.ones(1, 1, T, S)))
        assert {chosen(kernel(), dual) for kernel in (Eager, SDPA, Flex)} == {Eager}


def test_what_flex_would_take_on_cuda() -> None:
    fixed = torch.randn(1, H, T, S)
    assert Flex().expresses(some(bias=fixed))
    assert not Flex().expresses(some(bias=fixed.requires_grad_()))
    assert not Flex().expresses(some(rescore=torch.tanh))


class Picky(Kernel):
    """A kernel of somebody's own, for operands without a bias."""

    otherwise = SDPA

    def serves(self, given: Operands) -> bool:
        return given.bias is None

    def forward(self, given: Operands) -> Tensor:
        return torch.zeros_like(given.q)


class Alone(Picky):
    """Nothing takes what it leaves."""

    otherwise = None


def test_a_kernel_of_ones_own_hands_on_what_it_does_not_serve() -> None:
    dims, x = Dims(32, 4, 1, causal=True), torch.randn(2, 6, 32)
    with observe(Encoder(dims, NoPE, mixer=partial(Attention, kernel=Picky))) as seen:
        pass
    assert seen.attention == []
    for positional, kind in ((NoPE, Picky), (ALiBi, SDPA)):
        model = Encoder(dims, positional, mixer=partial(Attention, kernel=Picky))
        with observe(model) as seen:
            model(x)
        (kernels,) = (each for each in model.modules() if isinstance(each, Kernels))
        assert type(kernels.serving(seen.attention[0])) is kind
    with pytest.raises(ValueError, match="no kernel serves these operands: Alone; take Eager"):
        Encoder(dims, ALiBi, mixer=partial(Attention, kernel=Alone))(x)


PATHS: dict[str, tuple[Factory, type[Kernel], str]] = {
    "fused": (RoPE, SDPA, costs.FUSED),
    "fixed bias": (ALiBi, SDPA, costs.FUSED_BIAS),
    "learned bias": (KERPLELog, SDPA, costs.LEARNED_BIAS),
    "rescored": (partial(DAPE, width=6), SDPA, costs.MATERIALISED),
    "asked for": (RoPE, Eager, costs.MATERIALISED),
}


@pytest.mark.parametrize("name", PATHS)
def test_the_doctor_asks_the_kernels(name: str) -> None:
    positional, kernel, path = PATHS[name]
    model = Encoder(
        Dims(32, 4, 1, causal=True), positional, mixer=partial(Attention, kernel=kernel)
    )
    with observe(model) as seen:
        model(torch.randn(2, 6, 32))
    (given,) = seen.attention
    taken = Kernels(kernel()).serving(given)
    assert costs._path(taken, given) == path
    assert taken.materialises(given) == (path in (costs.LEARNED_BIAS, costs.MATERIALISED))


VISIBLE: dict[str, Mask | Tensor | None] = {
    "all": None,
    "causal": Causal(),
    "window": Window(2),
    "padded": Causal() & Padding(torch.tensor([7, 3])),
    "by head": torch.arange(B * H * T * S).view(B, H, T, S) % 3 > 0,
}


@pytest.mark.parametrize("biased", ["none", "bias", "table"])
@pytest.mark.parametrize("visible", VISIBLE.values(), ids=VISIBLE)
def test_rows_of_the_logits(visible: Mask | Tensor | None, biased: str) -> None:
    """Some rows are rows of all, in whatever form mask and bias come."""
    bias: Tensor | ByDistance | None = None
    if biased == "bias":
        bias = torch.randn(1, H, T, S)
    elif biased == "table":
        bias = ByDistance(torch.randn(H, 13), -6, torch.arange(S)[None, -T:], torch.arange(S)[None])
    q, (k, v) = torch.randn(B, H, T, K), torch.randn(2, B, G, S, K)
    for given in (operands(q, k, v, bias, visible), operands(q, k, v, bias, visible, torch.tanh)):
        whole, weights = logits(given), attention_weights(given)
        assert whole.dtype == torch.float32
        assert whole.shape == (B, H, T, S)
        for rows in (slice(0, 1), slice(1, 4), slice(3, None), slice(0, 99)):
            torch.testing.assert_close(logits(given, rows), whole[:, :, rows])
            torch.testing.assert_close(attention_weights(given, rows), weights[:, :, rows])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_logits_are_products_in_float32(dtype: torch.dtype) -> None:
    """Of what half precision holds, whether autocast is on or not."""
    given = some()
    half = given._replace(q=given.q.to(dtype), k=given.k.to(dtype))
    exact = half._replace(q=half.q.double(), k=half.k.double())
    assert logits(exact).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        found = logits(half)
    torch.testing.assert_close(found, logits(exact).float(), rtol=0, atol=1e-5)
