"""Entropy, its companions and the blocks of queries against plain loops in float64."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from lightning_posenc.diagnostics import (
    attention_entropy,
    layer_similarity,
    summarise,
    weights_by_block,
)
from lightning_posenc.masks import Causal
from tests.diagnostics.naive import B, H, S, T, naive_attention, naive_entropy, random_view
from tests.helpers import operands

LENGTHS = (9, 6, 4)
VIEWS: dict[str, dict[str, Any]] = {
    "plain": {"biased": False, "mask": "none"},
    "bias": {"mask": "none"},
    "causal": {"biased": False, "mask": "causal"},
    "bias, causal, padding": {"mask": "padding"},
    "mask by head, blind rows": {"mask": "tensor"},
    "rescore": {"mask": "padding", "rescored": True},
}
each_view = pytest.mark.parametrize("kind", VIEWS)
each_block = pytest.mark.parametrize("block", [1, 3, 64])


def lengths_of(kind: str) -> tuple[int, ...]:
    return LENGTHS if "padding" in kind or kind == "rescore" else ()


@each_view
@each_block
def test_weights_by_block(kind: str, block: int) -> None:
    view = random_view(**VIEWS[kind])
    weights, _, _ = naive_attention(view, lengths_of(kind))
    slices, parts = zip(*weights_by_block(view, block), strict=True)
    np.testing.assert_allclose(torch.cat(parts, dim=2), weights, atol=1e-5)
    if view.rescore is None:
        assert [s.start for s in slices] == list(range(0, T, block))


@each_view
@each_block
def test_summary(kind: str, block: int) -> None:
    view = random_view(**VIEWS[kind])
    lengths = lengths_of(kind)
    weights, logits, visible = naive_attention(view, lengths)
    got = summarise(view, torch.tensor(lengths) if lengths else None, block)
    for h in range(H):
        entropy, normalised, distance, sink, tops = [], [], [], [], []
        pairs: dict[int, list[float]] = {}
        for b in range(B):
            for i in range(T):
                place = S - T + i
                row, seen = weights[b, h, i], visible[b, h, i]
                if (lengths and place >= lengths[b]) or not seen.any():
                    continue
                entropy.append(naive_entropy(row))
                if seen.sum() > 1:
                    normalised.append(entropy[-1] / math.log(seen.sum()))
                distance.append(sum(row[j] * abs(place - j) for j in range(S)))
                sink.append(row[0])
                tops += [logits[b, h, i, j] for j in range(S) if seen[j]]
                for j in range(S):
                    if seen[j]:
                        pairs.setdefault(place - j, []).append(row[j])
        every = [w for group in pairs.values() for w in group]
        mean = np.mean(every)
        within = sum((w - np.mean(group)) ** 2 for group in pairs.values() for w in group)
        whole = sum((w - mean) ** 2 for w in every)
        expected = [
            np.mean(entropy),
            np.mean(normalised),
            np.mean(distance),
            np.mean(sink),
            max(tops),
            1 - within / whole,
        ]
        np.testing.assert_allclose([float(x[h]) for x in got], expected, rtol=1e-4, atol=1e-4)


def test_uniform_causal_attention_has_the_entropy_of_its_length() -> None:
    nothing = torch.zeros(1, 2, 50, 4)
    view = operands(nothing, nothing, nothing, visible=Causal())
    rows = torch.cat([attention_entropy(a) for _, a in weights_by_block(view, 16)], dim=-1)
    expected = torch.arange(1, 51).float().log().expand(1, 2, 50)
    torch.testing.assert_close(rows, expected, atol=1e-4, rtol=0)
    summary = summarise(view)
    assert summary.normalised_entropy.tolist() == pytest.approx([1, 1], abs=1e-5)


def test_autocast_changes_nothing() -> None:
    view = random_view()
    expected = summarise(view)
    with torch.autocast("cpu", torch.bfloat16):
        found = summarise(view)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_entropy_of_one_key_and_of_an_empty_row_is_0() -> None:
    weights = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.25, 0.25, 0.5]])
    expected = torch.tensor([0.0, 0.0, 1.5 * math.log(2)])
    torch.testing.assert_close(attention_entropy(weights), expected)
    assert attention_entropy(weights.bfloat16()).dtype == torch.float32


def test_what_depends_on_the_offset_alone_is_explained_by_it() -> None:
    bias = torch.full((1, 2, 12, 12), -50.0)
    for i in range(12):
        bias[:, 0, i, max(i - 1, 0)] = 50.0  # the token before
        bias[:, 1, i, torch.randint(12, ())] = 50.0  # anything
    nothing = torch.zeros(1, 2, 12, 4)
    share = summarise(operands(nothing, nothing, nothing, bias)).offset_share
    assert share[0] > 0.9
    assert share[1] < 0.5
    flat = summarise(operands(nothing, nothing, nothing))
    assert flat.offset_share.tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["bias", "bias, causal, padding", "rescore"])
@each_block
def test_similarity(kind: str, block: int) -> None:
    first, second = random_view(**VIEWS[kind]), random_view(mask=VIEWS[kind]["mask"])
    lengths = lengths_of(kind)
    p, q = (naive_attention(view, lengths).weights.mean(axis=1) for view in (first, second))
    alike = []
    for b in range(B):
        for i in range(T):
            if not lengths or S - T + i < lengths[b]:
                middle = naive_entropy((p[b, i] + q[b, i]) / 2)
                apart = middle - (naive_entropy(p[b, i]) + naive_entropy(q[b, i])) / 2
                alike.append(1 - apart / math.log(2))
    given = torch.tensor(lengths) if lengths else None
    got = layer_similarity(first, second, block, lengths=given)
    assert got == pytest.approx(np.mean(alike), abs=1e-4)


def test_similarity_spans_0_to_1() -> None:
    view = random_view(mask="none")
    assert layer_similarity(view, view) == pytest.approx(1, abs=1e-6)
    even = torch.arange(S) % 2 == 0
    ours, theirs = (
        operands(view.q, view.k, view.v, visible=keys.expand(1, 1, T, S)) for keys in (even, ~even)
    )
    assert layer_similarity(ours, theirs) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="different forward passes"):
        layer_similarity(view, random_view(mask="none", n_queries=T - 1))
