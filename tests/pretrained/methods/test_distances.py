"""Attention by a law of distances: a float64 double loop, and a family's own way of attending.

Shapes: B sequences, T tokens, H heads, G heads of keys and values, K channels.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_posenc.pretrained.methods import (
    DualChunkRope,
    LeakyReRope,
    ReRope,
    SelfExtendRope,
    SlidingWindow,
    WindowSinks,
    Yarn,
)
from lightning_posenc.pretrained.methods.by_distance import TurnedByDistance
from lightning_posenc.pretrained.methods.distances import Layout, attend
from tests.pretrained.methods.models import TRAINED, logits, tiny, tokens

B, T, H, G, K = 1, 26, 4, 2, 8
SHORT = 12  # trained length of the attention that is held against loops
TO = 4 * TRAINED
METHODS: tuple[TurnedByDistance, ...] = (
    ReRope(), ReRope(window=5, log_n=False), LeakyReRope(), LeakyReRope(window=7, by=5.0),
    SelfExtendRope(), SelfExtendRope(window=6, group=5),
    DualChunkRope(), DualChunkRope(chunk=12, local=4),
    SlidingWindow(), SlidingWindow(window=9), WindowSinks(), WindowSinks(window=6, sinks=3),
)  # fmt: skip

# The distance at which a key at j seems to be from a query at i, and None where it is not seen.
Seems = Callable[[int, int], float | None]


def seems(method: TurnedByDistance, length: int, to: int) -> Seems:
    """Each paper's law once more."""

    def rerope(i: int, j: int) -> float:
        w = getattr(method, "window", None) or (
            length // 4 if "leaky" in method.name else length // 2
        )
        if i - j < w:
            return i - j
        if method.name == "rerope":
            return w
        by = getattr(method, "by", None) or (to - w) / (length - w)
        return w + (i - j - w) / by

    def self_extend(i: int, j: int) -> float:
        w = getattr(method, "window", None) or length // 4
        g = getattr(method, "group", None) or math.ceil((to - w) / (length - w))
        return i - j if i - j < w else i // g - j // g + w - w // g

    def dual_chunk(i: int, j: int) -> float:
        chunk, local = (
            (12, 4) if getattr(method, "chunk", None) else (length * 3 // 4, length // 16)
        )
        s = chunk - local
        if i // s == j // s:
            return i - j
        if i // s == j // s + 1:
            return min(i % s + s, chunk) - j % s
        return chunk - j % s

    def window(i: int, j: int) -> float | None:
        sinks = getattr(method, "sinks", 0)
        w = getattr(method, "window", None) or length - sinks
        if i - j < w:
            return i - j
        return min(i, w + sinks - 1) - j if j < sinks else None

    return {
        "rerope": rerope, "leaky-rerope": rerope, "self-extend": self_extend,
        "dual-chunk": dual_chunk, "window": window, "window-sinks": window,
    }[method.name]  # fmt: skip


def looped(
    q: Tensor, k: Tensor, v: Tensor, theta: Tensor, distance: Seems, log_from: int | None
) -> np.ndarray:
    """Multiplication by exp(i·Δ·θ) in the complex plane, channels c and c + K/2 a pair."""
    half = K // 2
    turned = [
        (each[..., :half] + 1j * each[..., half:])
        for each in (q.double().numpy(), k.double().numpy())
    ]
    found = np.zeros((B, T, H, K))
    for b, h, i in np.ndindex(B, H, T):
        scores, values = [], []
        for j in range(i + 1):
            delta = distance(i, j)
            if delta is None:
                continue
            other = turned[1][b, h // (H // G), j]
            product = (
                turned[0][b, h, i] * np.exp(1j * delta * theta.double().numpy()) * other.conj()
            )
            scores.append(product.real.sum() / math.sqrt(K))
            values.append(v[b, h // (H // G), j].double().numpy())
        scores = np.array(scores)
        if log_from is not None:
            scores = scores * max(1.0, math.log(i + 1) / math.log(log_from))
        weights = np.exp(scores - scores.max())
        found[b, i, h] = (weights[:, None] * values).sum(0) / weights.sum()
    return found


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.name)
def test_attention_equals_plain_loops(method: TurnedByDistance) -> None:
    generator = torch.Generator().manual_seed(0)
    q = 2 * torch.randn(B, H, T, K, generator=generator)
    k, v = 2 * torch.randn(2, B, G, T, K, generator=generator)
    theta = torch.tensor([1.0, 0.3, 0.05, 0.004])
    at = torch.arange(T).expand(B, -1)
    law = method.law(SHORT, T)
    log_from = SHORT if getattr(method, "log_n", False) else None
    expected = looped(q, k, v, theta, seems(method, SHORT, T), log_from)
    for rows in (1, 7, T):
        found = attend(q, k, v, law, theta, at, at, None, K**-0.5, most_logits=rows * B * H * T)
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.name)
def test_no_distance_is_new(method: TurnedByDistance) -> None:
    distance = seems(method, TRAINED, TO)
    seen = [distance(TO - 1, j) for j in range(TO)]
    assert max(each for each in seen if each is not None) <= TRAINED


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3", "gpt_neox", "cohere"])
def test_within_the_window_a_family_is_as_it_was(family: str) -> None:
    pretrained, ids = tiny(family), tokens(8, 2)
    expected = logits(pretrained, ids)
    before = pretrained.model.config._attn_implementation
    for method in (ReRope(), SelfExtendRope(), DualChunkRope(), WindowSinks()):
        with method.applied(pretrained, TO):
            torch.testing.assert_close(logits(pretrained, ids), expected, rtol=1e-3, atol=1e-3)
            assert not torch.allclose(
                logits(pretrained, tokens(TO)), _unchanged(pretrained.name), atol=1e-2
            )
    assert torch.equal(logits(pretrained, ids), expected)
    assert pretrained.model.config._attn_implementation == before


def _unchanged(family: str) -> Tensor:
    return logits(tiny(family), tokens(TO))


@pytest.mark.parametrize("method", METHODS[::2], ids=lambda each: each.name)
def test_cached_and_padded_decoding_equal_reading_at_once(method: TurnedByDistance) -> None:
    pretrained, n = tiny("llama"), TRAINED + 20
    ids = tokens(n)
    with method.applied(pretrained, TO):
        expected = logits(pretrained, ids)
        cache, found = None, []
        with torch.no_grad():
            for some in (ids[:, : n - 9], ids[:, n - 9 : n - 4], *ids[:, n - 4 :].split(1, 1)):
                made = pretrained.model(input_ids=some, past_key_values=cache, use_cache=True)
                cache = made.past_key_values
                found.append(made.logits)
        torch.testing.assert_close(torch.cat(found, 1), expected, rtol=1e-3, atol=1e-3)
        # Beside a longer sequence, with padding on the left and places that take it into account.
        longer = tokens(n + 6)
        padded = torch.cat([torch.zeros(1, 6, dtype=torch.long), ids], 1)
        mask = torch.ones(2, n + 6, dtype=torch.long)
        mask[0, :6] = 0
        places = (mask.cumsum(1) - 1).clamp(min=0)
        both = logits(
            pretrained, torch.cat([padded, longer]), attention_mask=mask, position_ids=places
        )
        torch.testing.assert_close(both[:1, 6:], expected, rtol=1e-3, atol=1e-3)


def test_gradients_go_through() -> None:
    pretrained = tiny("llama", num_hidden_layers=1)
    with SelfExtendRope(window=4, most_logits=1).applied(pretrained, TO):
        pretrained.model(input_ids=tokens(12)).logits.square().sum().backward()
    gradient = pretrained.model.model.layers[0].self_attn.k_proj.weight.grad
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("method", "family", "reason"),
    [
        (ReRope(), "bert", "it knows order by a learned table, not by rotation"),
        (ReRope(), "gemma2", "its attention is not the plain one"),
        (ReRope(), "gemma3_text", "its layers know order in more than one way"),
        (ReRope(window=TRAINED), "llama", "window=32 must be less than the trained length 32"),
        (DualChunkRope(chunk=33), "llama", "chunk=33 must be at most the trained length 32"),
        (DualChunkRope(chunk=8, local=4), "llama", "local=4 must be less than half of chunk=8"),
        (WindowSinks(window=30), "llama", r"window=30 must be in [1, 28]"),
    ],
)
def test_it_refuses_with_the_reason(method: TurnedByDistance, family: str, reason: str) -> None:
    assert reason in (method.refuses(tiny(family), TO) or "")


def test_what_no_config_says_cannot_be_saved() -> None:
    llama, mistral = tiny("llama"), tiny("mistral")
    for method in METHODS:
        assert method.cannot_be_saved(llama, TO)
        with pytest.raises(ValueError, match=f"^{method.name} cannot be saved: ") as error:
            method.spelling(llama, TO)
        assert "\n" not in str(error.value)
    assert SlidingWindow(window=9).spelling(mistral, TO) == {
        "sliding_window": 9,
        "max_position_embeddings": TO,
    }
    assert WindowSinks().cannot_be_saved(mistral, TO)


def test_layouts_are_found_by_trial() -> None:
    from lightning_posenc.pretrained.methods.by_distance import _layout

    found: dict[str, Layout | None] = {
        family: _layout(tiny(family)) for family in ("llama", "cohere", "gemma2")
    }
    assert found == {"llama": "half", "cohere": "interleaved", "gemma2": None}


def test_static_and_attention_methods_do_not_disturb_each_other() -> None:
    pretrained, ids = tiny("llama"), tokens(TO)
    before = logits(pretrained, ids)
    with Yarn().applied(pretrained, TO):
        pass
    with ReRope().applied(pretrained, TO):
        pass
    assert torch.equal(logits(pretrained, ids), before)
