"""What no token to come will see is forgotten, and nobody notices but the memory.

Shapes: B sequences, T tokens, D = d_model.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import (
    Dilated,
    Fixed,
    GlobalTokens,
    Mask,
    StreamingLLM,
    Window,
)
from lightning_posenc.model import EncoderSpec
from lightning_posenc.model import cache as caches
from lightning_posenc.model.cache import Cache
from lightning_posenc.modules import LanguageModel, decoding, stepwise
from lightning_posenc.positional import ALiBi, CoPE, FoX, RoPE, T5Bias
from lightning_posenc.testing.models import encoder
from tests.cases import METHODS, Case

B, T, D = 2, 48, 32


@pytest.fixture(autouse=True)
def _asks_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "ENOUGH", 4)


def model(positional: Any = RoPE, mask: Any = None, n_layers: int = 2) -> Encoder:
    torch.manual_seed(0)
    dims = Dims(D, 4, n_layers, causal=True)
    return Encoder(dims, positional, mask=mask, init_std=0.2).eval()


def read(of: Encoder, x: Tensor, steps: list[int], cache: Cache, **given: Tensor) -> Tensor:
    outputs, now = [], 0
    for step in steps:
        now += step
        here = {name: value[:, :now] for name, value in given.items()}
        here.setdefault("positions", torch.arange(now)[None])
        outputs.append(of(x[:, now - step : now], cache=cache, **here))
    return torch.cat(outputs, dim=1)


DEFAULT = {"alibi", "t5", "shaw", "fox"}
# How many tokens the next may see, after T and at most.
MASKS: dict[str, tuple[Mask, int, int]] = {
    "window": (Window(5), 4, 4),
    "streaming": (StreamingLLM(5, 2), 6, 6),
    "dilated": (Dilated(3, 3), 6, 6),
    "global": (Window(3) | GlobalTokens(1), 3, 3),
    "fixed": (Fixed(16, 2), 6, 19),  # T ends a run: the summaries of three, and the last run's all
}


@torch.no_grad()
@pytest.mark.parametrize("steps", [[1] * T, [20, 1, 1, 1, 20, 5]], ids=["one by one", "chunks"])
@pytest.mark.parametrize("name", MASKS)
def test_decoding_equals_reading_at_once(name: str, steps: list[int]) -> None:
    mask, n_seen, most = MASKS[name]
    of, x, cache = model(mask=mask), torch.randn(B, T, D), Cache()
    torch.testing.assert_close(read(of, x, steps, cache), of(x), rtol=0, atol=1e-5)
    assert len(cache) == T
    of(x[:, :1], positions=torch.arange(T + 1)[None], cache=cache)
    assert n_seen < cache.n_remembered <= 2 * max(steps[-1], most) + 1
    assert of.remembers(T) == 2 * n_seen


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.slow] * (case.name not in DEFAULT), id=case.name)
        for case in METHODS
    ],
)
@pytest.mark.parametrize("mask", [Window(4), StreamingLLM(4, 2)], ids=["window", "streaming"])
@torch.no_grad()
def test_every_encoding_is_served(case: Case, mask: Mask) -> None:
    """Whoever needs other keys than the pair's own has them still."""
    if case.limit is not None and case.limit < 24:
        pytest.skip("it serves fewer tokens")
    of = encoder(case, True, mask=mask)
    x, positions = torch.randn(B, 24, D), case.place(torch.arange(24)[None])
    cache = Cache()
    try:
        out = read(of, x, [1] * 24, cache, positions=positions)
    except ValueError as error:  # what it is of is tried without a mask
        pytest.skip(str(error))
    torch.testing.assert_close(out, of(x, positions=positions), rtol=0, atol=2e-5)
    assert (cache.n_remembered == 24) == of.positional.reads_all_keys


@pytest.mark.parametrize(
    "positional",
    [RoPE, *(pytest.param(other, marks=pytest.mark.slow) for other in (ALiBi, T5Bias))],
)
def test_long_generation_does_not_grow(positional: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ten times the window, it says what a model says that remembers nothing."""
    window, taken = 6, []

    class Watched(Cache):
        def is_full(self, n_new: int) -> bool:  # asked at every step
            taken.append(self.n_bytes)
            return super().is_full(n_new)

    monkeypatch.setattr(stepwise, "Cache", Watched)
    torch.manual_seed(0)
    spec = EncoderSpec(32, 4, 2, mask=StreamingLLM(window, 2), init_std=0.3)
    of = LanguageModel(spec, 20, positional=positional).eval()
    prompts, of_each = torch.randint(0, 20, (B, 10 * window)), torch.tensor([5, 8 * window])
    said = decoding.greedy(of, prompts, of_each)
    assert torch.equal(said, decoding.greedy(of, prompts, of_each, use_cache=False))
    tokens = 2 * (window - 1 + 2)
    assert max(taken) <= 4 * 2 * 2 * B * tokens * 32  # bytes, layers, keys and values
    assert taken[3 * window :] == [taken[-1]] * (len(taken) - 3 * window)


@torch.no_grad()
def test_padding_and_documents_of_all_tokens_are_given() -> None:
    of, x = model(mask=StreamingLLM(6, 1)), torch.randn(B, T, D)
    documents = (torch.arange(T) // 19).expand(B, T).contiguous()
    out = read(of, x, [1] * T, Cache(), documents=documents)
    torch.testing.assert_close(out, of(x, documents=documents), rtol=0, atol=1e-5)


def test_gradients_flow_through_what_is_kept() -> None:
    of, x = model(mask=StreamingLLM(4, 1), n_layers=1), torch.randn(B, T, D)
    found = []
    for out in (read(of, x, [1] * T, Cache()), of(x)):
        found.append(torch.autograd.grad(out.square().sum(), list(of.parameters())))
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    ("positional", "mask"),
    [(RoPE, None), (RoPE, [Window(4), None]), (CoPE, Window(4)), (FoX, Window(4))],
)
def test_what_somebody_may_need_is_kept(positional: Any, mask: Any) -> None:
    of, x, cache = model(positional, mask), torch.randn(B, T, D), Cache()
    torch.testing.assert_close(read(of, x, [1] * T, cache), of(x), rtol=0, atol=1e-5)
    assert cache.n_remembered == of.remembers(T) == T


@torch.no_grad()
def test_a_cache_begun_in_inference_mode_forgets_outside() -> None:
    of, x, cache = model(mask=Window(4)), torch.randn(B, T, D), Cache()
    with torch.inference_mode():
        read(of, x, [30], cache)
    out = of(x[:, 30:], positions=torch.arange(T)[None], cache=cache)
    torch.testing.assert_close(out, of(x)[:, 30:], rtol=0, atol=1e-5)
    assert cache.n_remembered == 3 + T - 30
