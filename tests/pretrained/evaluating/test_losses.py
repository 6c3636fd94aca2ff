"""Logits made in parts are the whole ones, and losses are those of the whole logits."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.pretrained.evaluating import logits as logits_module
from lightning_posenc.pretrained.evaluating.logits import logits_by_rows
from lightning_posenc.pretrained.evaluating.losses import (
    by_place,
    last_losses,
    losses,
    losses_by_context,
    masked_losses,
)
from lightning_posenc.pretrained.reading import Pretrained
from tests.pretrained.evaluating.examples import CAUSAL, MASKED, VOCAB, lively, pretrained, words


def ids(*shape: int) -> Tensor:
    return torch.randint(6, VOCAB, shape)


@pytest.mark.parametrize("family", [*CAUSAL, *MASKED])
@torch.no_grad()
def test_parts_are_the_whole(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively(family)
    tokens = ids(2, 11)
    whole = model(input_ids=tokens).logits
    monkeypatch.setattr(logits_module, "NUMBERS", 2 * VOCAB * 4)
    sizes: list[int] = []
    head = model.get_output_embeddings()
    head.register_forward_hook(lambda module, args, out: sizes.append(out.numel()))
    rows, parts = zip(*logits_by_rows(model, tokens), strict=True)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-5, atol=1e-6)
    assert rows == (slice(0, 4), slice(4, 8), slice(8, 11))
    assert max(sizes) == 2 * VOCAB * 4, "the head made more than a part"
    some = torch.tensor([1, 7, 3])
    ((_, chosen),) = logits_by_rows(model, tokens, [some])
    torch.testing.assert_close(chosen, whole[:, some], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model(input_ids=tokens).logits, whole)  # it is as it was


@torch.no_grad()
def test_losses_are_those_of_the_whole_logits() -> None:
    ours = pretrained("gemma2")
    tokens = ids(3, 9)
    found = losses(ours, tokens)
    logits = ours.model(input_ids=tokens).logits[:, :-1]
    expected = F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    torch.testing.assert_close(found, expected)
    moved = losses(ours, tokens, position_ids=torch.arange(9)[None] * 3)
    assert not torch.allclose(moved, found)


@torch.no_grad()
def test_few_tokens_are_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = pretrained("llama")
    tokens = ids(5, 8)
    at_once = losses(ours, tokens, position_ids=torch.arange(8).expand(5, -1))
    monkeypatch.setattr("lightning_posenc.pretrained.evaluating.losses.TOKENS", 16)
    torch.testing.assert_close(losses(ours, tokens), at_once)


@torch.no_grad()
def test_masked_tokens_are_scored_where_they_are_masked() -> None:
    model = lively("bert")
    ours = Pretrained(model, words(), "bert", "masked")
    tokens = ids(4, 10)
    found = masked_losses(ours, tokens, every=4)
    masked = found.isfinite()
    assert bool(masked.any(dim=0).all()), "four sequences score every place"
    hidden = tokens.masked_fill(masked, ours.tokenizer.mask_token_id)
    logits = model(input_ids=hidden).logits
    expected = F.cross_entropy(logits.transpose(1, 2), tokens, reduction="none")
    torch.testing.assert_close(found[masked], expected[masked])
    torch.testing.assert_close(losses(ours, tokens).isfinite().sum(), torch.tensor(5))


def test_what_has_no_loss_says_so() -> None:
    with pytest.raises(ValueError, match="which token is the mask"):
        losses(pretrained("bert"), ids(2, 9))
    with pytest.raises(ValueError, match="this is of kind encoder"):
        losses(replace(pretrained("llama"), kind="encoder"), ids(2, 9))
    with pytest.raises(ValueError, match="of kind causal, without a head"):
        losses(replace(pretrained("llama"), has_head=False), ids(2, 9))
    with pytest.raises(ValueError, match="give 2"):
        losses(pretrained("llama"), ids(2, 1))


@torch.no_grad()
def test_context_counts_back_from_the_end() -> None:
    ours = pretrained("llama")
    tokens = ids(3, 20)
    found = losses_by_context(ours, tokens, [20, 6, 12])
    assert [each.shape[1] for each in found.values()] == [5, 11, 19]
    torch.testing.assert_close(found[20], losses(ours, tokens))
    torch.testing.assert_close(found[6], losses(ours, tokens[:, -6:]))
    torch.testing.assert_close(last_losses(found[20], 4), found[20][:, -4:].mean(dim=1))
    begun = losses_by_context(ours, tokens, [8], prefix=(1,))
    seen = torch.cat([torch.ones(3, 1, dtype=torch.long), tokens[:, -7:]], dim=1)
    torch.testing.assert_close(begun[8], losses(ours, seen))
    with pytest.raises(ValueError, match="contexts=21 must be at most 20"):
        losses_by_context(ours, tokens, [21])


def test_stretches_of_places_double() -> None:
    found = torch.arange(1.0, 16.0)[None]
    stretches, means = by_place(found, 4)
    assert stretches == [(0, 1), (1, 3), (3, 7), (7, 15)]
    torch.testing.assert_close(means, torch.tensor([[1.0, 2.5, 5.5, 11.5]]))
    _, means = by_place(torch.tensor([[torch.nan, 2.0, 4.0]]), 2)
    assert bool(means[0, 0].isnan())
    assert float(means[0, 1]) == 3.0


def test_a_model_without_a_body_is_run_as_a_whole() -> None:
    from tests.pretrained.evaluating.examples import ByRule

    model: Any = ByRule(lambda row: row[-1])
    tokens = ids(2, 5)
    ((_, found),) = logits_by_rows(model, tokens, [slice(1, 4)])
    assert torch.equal(found.argmax(dim=-1), tokens[:, 1:4])
