"""Every predicate against its definition in plain Python."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, create_mask

from lightning_posenc.masks import (
    BigBird,
    Blocked,
    Causal,
    Dilated,
    Documents,
    Fixed,
    GlobalTokens,
    Longformer,
    Mask,
    Padding,
    RandomBlocks,
    Sinks,
    StreamingLLM,
    Strided,
    Visibility,
    Window,
    compose,
)

CPU = torch.device("cpu")
T = 12
LENGTHS = [12, 7, 1]
IDS = [[0] * 12, [0] * 4 + [1] * 8, [5, 5, 5, 2, 2, 2, 2, 9, 9, 9, 9, 9]]
Rule = Callable[[int, int, int], bool]
DRAWN = RandomBlocks(2, 1, seed=3).drawn(6)
BESIDES = RandomBlocks(2, 1, seed=1, besides=Window(2) | GlobalTokens(1, 1)).drawn(6)

MASKS: dict[str, tuple[Mask, Rule]] = {
    "causal": (Causal(), lambda b, q, k: k <= q),
    "window-1": (Window(1), lambda b, q, k: q == k),
    "window-3": (Window(3), lambda b, q, k: abs(q - k) <= 2),
    "padding": (Padding(torch.tensor(LENGTHS)), lambda b, q, k: k < LENGTHS[b] or k == q),
    "documents": (Documents(torch.tensor(IDS)), lambda b, q, k: IDS[b][q] == IDS[b][k]),
    "causal-window": (Causal() & Window(4), lambda b, q, k: 0 <= q - k < 4),
    "dilated": (Dilated(3, 2), lambda b, q, k: abs(q - k) in (0, 2, 4)),
    "strided": (Strided(3), lambda b, q, k: abs(q - k) in (0, 1, 2, 3, 6, 9)),
    "fixed": (Fixed(5, 2), lambda b, q, k: q // 5 == k // 5 or k in (3, 4, 8, 9)),
    "first": (GlobalTokens(2), lambda b, q, k: min(q, k) < 2 or q == k),
    "ends": (GlobalTokens(1, 2), lambda b, q, k: {q, k} & {0, 10, 11} != set() or q == k),
    "sinks": (Sinks(2), lambda b, q, k: k < 2 or q == k),
    "blocked": (Blocked(Window(2), 5), lambda b, q, k: abs(q // 5 - k // 5) < 2),
    "drawn": (
        RandomBlocks(2, 1, seed=3),
        lambda b, q, k: q // 2 == k // 2 or bool(DRAWN[q // 2, k // 2]),
    ),
    "either": (
        Causal() & (Window(2) | Dilated(3, 3)),
        lambda b, q, k: q - k in (0, 1, 3, 6),
    ),
    "longformer": (
        Longformer(3, 2) & Padding(torch.tensor(LENGTHS)),
        lambda b, q, k: (abs(q - k) < 3 or min(q, k) < 2) and (k < LENGTHS[b] or k == q),
    ),
    "big-bird": (
        BigBird(2, 1, seed=1),
        lambda b, q, k: (
            abs(q // 2 - k // 2) < 2
            or {q // 2, k // 2} & {0, 5} != set()
            or bool(BESIDES[q // 2, k // 2])
        ),
    ),
    "streaming": (
        Causal() & StreamingLLM(3, 2),
        lambda b, q, k: 0 <= q - k < 3 or (k < 2 and k <= q),
    ),
    "all": (
        Causal() & Window(5) & Padding(torch.tensor(LENGTHS)) & Documents(torch.tensor(IDS)),
        lambda b, q, k: 0 <= q - k < 5 and (k < LENGTHS[b] or k == q) and IDS[b][q] == IDS[b][k],
    ),
}
each_mask = pytest.mark.parametrize(
    ("mask", "rule"), [(mask.at(T, CPU), rule) for mask, rule in MASKS.values()], ids=MASKS
)


def by_hand(rule: Rule, n_sequences: int) -> Tensor:
    seen = torch.zeros(n_sequences, 1, T, T, dtype=torch.bool)
    for b, q, k in product(range(n_sequences), range(T), range(T)):
        seen[b, 0, q, k] = rule(b, q, k)
    return seen


@each_mask
def test_dense_equals_definition(mask: Mask, rule: Rule) -> None:
    assert torch.equal(mask.dense(T, T, CPU), by_hand(rule, mask.n_sequences))


@each_mask
def test_everybody_sees_itself(mask: Mask, rule: Rule) -> None:
    assert mask.dense(T, T, CPU).diagonal(dim1=-2, dim2=-1).all()


@each_mask
def test_flex_attention_reads_the_same_mask(mask: Mask, rule: Rule) -> None:
    expected = mask.dense(T, T, CPU)
    sizes = (mask.n_sequences, 1, T, T)

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return mask(b, q, k)

    assert torch.equal(create_mask(mask_mod, *sizes, device="cpu"), expected)
    blocks = create_block_mask(mask_mod, *sizes, device="cpu", BLOCK_SIZE=4).to_dense()
    by_block = expected.unflatten(-1, (-1, 4)).unflatten(-3, (-1, 4)).any(-1).any(-2)
    assert torch.equal(blocks.bool(), by_block)


@pytest.mark.parametrize(
    ("mask", "n_sequences"),
    [(Causal(), 1), (Window(2) & Causal(), 1), (Causal() & Padding(torch.tensor(LENGTHS)), 3)],
)
def test_number_of_different_sequences(mask: Mask, n_sequences: int) -> None:
    assert mask.n_sequences == n_sequences


def test_compose_skips_what_is_not_given() -> None:
    assert compose(None, None) is None
    assert compose(None, Causal()) == Causal()
    both = compose(Causal(), None, Window(2))
    assert both is not None
    assert torch.equal(both.dense(T, T, CPU), (Causal() & Window(2)).dense(T, T, CPU))


@pytest.mark.parametrize("size", [0, -1])
def test_window_must_hold_the_token_itself(size: int) -> None:
    with pytest.raises(ValueError, match=f"size={size} must be at least 1"):
        Window(size)


@pytest.mark.parametrize(
    ("mask", "expected"), [(None, False), *((m, m == Causal()) for m, _ in MASKS.values())]
)
def test_is_causal_only_for_the_causal_mask_alone(mask: Mask | None, expected: bool) -> None:
    assert Visibility(mask, T, T, CPU).is_causal == expected


def test_nobody_is_hidden_without_a_mask() -> None:
    visibility, bias = Visibility(None, T, T, CPU), torch.randn(1, 2, T, T)
    assert visibility.dense is None
    assert torch.equal(visibility.added_to(bias, bias.dtype), bias)


@pytest.mark.parametrize(("first", "hides"), [(None, False), (T - 1, False), (2, True)])
def test_from_the_last_token_a_causal_mask_hides_nothing(first: int | None, hides: bool) -> None:
    """So that no mask is made for each token that a cached model says."""
    assert (Visibility(Causal(), 1, T, CPU, first).dense is not None) == hides
    assert Visibility(Causal(), 1, T, CPU, first, torch.arange(T)).dense is not None
    assert Visibility(Causal() & Window(2), 1, T, CPU, first).dense is not None


@each_mask
def test_added_to_a_bias(mask: Mask, rule: Rule) -> None:
    visibility, bias = Visibility(mask, T, T, CPU), torch.randn(1, 2, T, T)
    seen = by_hand(rule, mask.n_sequences).expand(-1, 2, -1, -1)
    expected = torch.where(seen, bias, -torch.inf)
    assert torch.equal(visibility.added_to(bias, bias.dtype), expected)
    assert torch.equal(visibility.added_to(2 * bias, bias.dtype), 2 * expected)


def test_layers_share_a_constant_bias_but_not_a_learned_one() -> None:
    """A result kept across layers would be missing where checkpointed layers are recomputed."""
    visibility, bias = Visibility(Causal(), T, T, CPU), torch.randn(1, 2, T, T)
    assert visibility.added_to(bias, bias.dtype) is visibility.added_to(bias, bias.dtype)
    learned = bias.clone().requires_grad_()
    assert visibility.added_to(learned, learned.dtype) is not visibility.added_to(
        learned, learned.dtype
    )


def test_dense_mask_is_made_once() -> None:
    visibility = Visibility(Causal(), T, T, CPU)
    assert visibility.dense is visibility.dense


def test_half_precision_is_finest_where_the_bias_is_largest() -> None:
    """Biases around 300 are two apart in bfloat16; relative to the row's largest they are exact."""
    bias = 300.0 + torch.arange(8.0).expand(1, 1, 8, 8)
    merged = Visibility(Causal(), 8, 8, bias.device).added_to(bias, torch.bfloat16)
    assert merged.dtype == torch.bfloat16
    expected = bias.masked_fill(torch.ones(8, 8).triu(1).bool(), -torch.inf).softmax(-1)
    torch.testing.assert_close(merged.float().softmax(-1), expected)
