"""Adapters: where they are, what they learn, and the model that is left when they are merged."""

import re
from typing import Any

import pytest
import torch

from lightning_posenc.pretrained.adapting.language_model import AdaptedLanguageModel
from lightning_posenc.pretrained.adapting.lora import (
    LoRA,
    adapters,
    add_adapters,
    is_adapter,
    merge_adapters,
)
from lightning_posenc.pretrained.reading import Pretrained
from tests.pretrained.adapting.worlds import batch
from tests.pretrained.tiny import tiny, word_tokenizer

pytest.importorskip("peft")

CAUSAL, MASKED = "AutoModelForCausalLM", "AutoModelForMaskedLM"


def adapted(family: str, head: str = CAUSAL, seed: int = 0, **options: Any) -> AdaptedLanguageModel:
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"mask_token": "w4"})
    kind = "masked" if head == MASKED else "causal"
    pretrained = Pretrained(tiny(family, head, seed), tokenizer, family, kind)
    return AdaptedLanguageModel(pretrained, **options)


@pytest.mark.parametrize(
    ("family", "head", "targets"),
    [
        ("llama", CAUSAL, {"q_proj", "k_proj"}),
        ("gpt2", CAUSAL, {"c_attn"}),
        ("gpt_neox", CAUSAL, {"query_key_value"}),
        ("bloom", CAUSAL, {"query_key_value"}),
        ("bert", MASKED, {"query", "key"}),
        ("modernbert", MASKED, {"Wqkv"}),
    ],
)
def test_only_adapters_of_queries_and_keys_get_gradients(
    family: str, head: str, targets: set[str]
) -> None:
    module = adapted(family, head, lora=LoRA(rank=2))
    before = adapted(family, head).eval()
    torch.testing.assert_close(module.eval().logits(batch()), before.logits(batch()))
    module.score(batch(), 0)[0].backward()
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    graded = {name for name, p in module.named_parameters() if p.grad is not None}
    assert trained == graded
    assert all(map(is_adapter, trained))
    assert {re.split(r"\.lora_", name)[0].rpartition(".")[2] for name in trained} == targets
    assert len(trained) == 2 * 2 * len(targets)  # A and B, of two blocks
    of_b = [p.grad for name, p in module.named_parameters() if "lora_B" in name]
    assert all(grad is not None and grad.norm() > 0 for grad in of_b)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_merged_model_says_the_same_and_is_plain(family: str) -> None:
    module = adapted(family, lora=LoRA(rank=2, alpha=8)).eval()
    plain = tiny(family, CAUSAL)
    before = plain(batch().tokens).logits
    for part in adapters(module.model):
        torch.nn.init.normal_(part.lora_B["default"].weight)
    with torch.no_grad():
        adapted_logits = module.logits(batch())
        merge_adapters(module.model)
        merged = module.model(batch().tokens).logits
    assert (merged - before).abs().max() > 0.01
    torch.testing.assert_close(merged, adapted_logits, rtol=1e-5, atol=1e-5)
    assert module.model.state_dict().keys() == plain.state_dict().keys()
    assert [type(part) for part in module.model.modules()] == [
        type(part) for part in plain.modules()
    ]


def test_projections_are_taken_as_named() -> None:
    module = adapted("llama", lora=LoRA(rank=3, targets=["v_proj", "mlp.down_proj"]))
    names = {name for name, p in module.named_parameters() if p.requires_grad}
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in names} == {"v_proj", "down_proj"}
    shapes = {tuple(module.get_parameter(name).shape) for name in names if "lora_A" in name}
    assert shapes == {(3, 16), (3, 32)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["q"]}, r"q is no projection of LlamaForCausalLM: name some .*q_proj \(2\)"),
        ({"targets": []}, "targets=.. must name at least one"),
        ({"rank": 0}, "rank=0 must be at least 1"),
        ({"alpha": 0.0}, "alpha=0.0 must be a number"),
        ({"dropout": 1.0}, "dropout=1.0 must be a number"),
    ],
)
def test_mistakes_are_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        adapted("llama", lora=LoRA(**options))
    assert "\n" not in str(raised.value)


def test_a_model_whose_projections_nobody_knows_asks_for_names() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"make queries and keys is not known: name some of lora"):
        add_adapters(model, LoRA())
