"""A function of one's own can stand in for a family's attention, and leaves no trace."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc.compat.transformers import own_attention
from tests.pretrained.tiny import tiny

transformers = pytest.importorskip("transformers")
IDS = torch.arange(3, 15).unsqueeze(0)


def logits(model: Any, **inputs: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=IDS, **inputs)[0]
    return found


def test_it_is_given_turned_queries_and_masks_as_for_sdpa() -> None:
    model = tiny("llama", "AutoModelForCausalLM")
    seen: list[Tensor | None] = []

    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **_: Any
    ) -> tuple[Tensor, None]:
        seen.append(mask)
        causal = mask is None and query.shape[2] > 1
        found = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=causal
        )
        return found.transpose(1, 2), None

    expected, names = logits(model), set(transformers.AttentionInterface._global_mapping)
    padded = torch.ones_like(IDS)
    padded[:, :2] = 0
    with own_attention(model, attention):
        torch.testing.assert_close(logits(model), expected)
        logits(model, attention_mask=padded)
    assert seen[:2] == [None, None]
    assert seen[2] is not None
    assert seen[2].dtype == torch.bool
    assert seen[2].shape == (1, 1, 12, 12)
    assert model.config._attn_implementation == "sdpa"
    assert set(transformers.AttentionInterface._global_mapping) == names
    assert torch.equal(logits(model), expected)


def test_it_is_undone_after_an_error() -> None:
    model = tiny("llama", "AutoModelForCausalLM")
    names = set(transformers.AttentionInterface._global_mapping)

    def attention(*_: Any, **__: Any) -> tuple[Tensor, None]:
        raise ArithmeticError

    with pytest.raises(ArithmeticError), own_attention(model, attention):
        logits(model)
    assert model.config._attn_implementation == "sdpa"
    assert set(transformers.AttentionInterface._global_mapping) == names


def test_a_family_with_its_own_way_is_refused() -> None:
    model = tiny("mpt", "AutoModelForCausalLM")
    with (
        pytest.raises(ValueError, match="its attention cannot be replaced"),
        own_attention(model, lambda *_: (torch.empty(0), None)),
    ):
        pass
