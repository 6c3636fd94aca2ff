"""Tiny models of Hugging Face, and models that answer by a rule."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import tokenizers
import torch
import transformers
from torch import Tensor, nn

from lightning_posenc.pretrained.reading import Pretrained
from tests.pretrained.tiny import tiny

VOCAB = 50
OPTIONS: dict[str, dict[str, Any]] = {  # above all those that a head heeds
    "albert": {"embedding_size": 8, "intermediate_size": 32},
    "gemma2": {"final_logit_softcapping": 0.1, "intermediate_size": 32, "head_dim": 8,
               "num_key_value_heads": 1},
    "cohere": {"logit_scale": 0.3, "intermediate_size": 32},
    "granite": {"logits_scaling": 3.0, "intermediate_size": 32},
}  # fmt: skip
CAUSAL = ("llama", "gpt2", "opt", "bloom", "mpt", "gpt_neox", "gemma2", "cohere", "granite")
MASKED = ("bert", "roberta", "albert", "modernbert")


def lively(family: str, **options: Any) -> Any:
    """A language model of a family whose weights are so large that all it does shows."""
    head = f"AutoModelFor{'Masked' if family in MASKED else 'Causal'}LM"
    model = tiny(family, head, **{**OPTIONS.get(family, {}), **options})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "norm" not in name:
                parameter.normal_(std=0.3)
    return model


def pretrained(family: str, **more: Any) -> Pretrained:
    """The same as it is read from a folder, without a tokenizer."""
    kind: Any = "masked" if family in MASKED else "causal"
    return Pretrained(lively(family, **more), None, family, kind)


def words(*known: str, special: bool = False) -> Any:
    """A tokenizer of whole words, digits and signs apart; unknown words are one token."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[END]", *map(str, range(10)), *known]
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({name: n for n, name in enumerate(names)}, unk_token="[UNK]")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Whitespace(),
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    if special:
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]",
        eos_token="[END]",
    )  # fmt: skip


class ByRule(nn.Module):
    """A model that is sure of what a rule says comes next.

    Args:
        rule: Maps the ids so far to the next.
        size: V.
    """

    base_model_prefix = "model"

    def __init__(self, rule: Callable[[list[int]], int], size: int = VOCAB) -> None:
        super().__init__()
        self.rule, self.size = rule, size
        self.config = SimpleNamespace(vocab_size=size)
        self.config.get_text_config = lambda: self.config
        self.device = torch.device("cpu")

    def forward(self, input_ids: Tensor) -> Any:
        said = [[self.rule(row[: t + 1]) for t in range(len(row))] for row in input_ids.tolist()]
        logits = nn.functional.one_hot(torch.tensor(said), self.size).float()
        return SimpleNamespace(logits=logits)


def literal(n: int, ordered: bool = True) -> Callable[[list[int]], int]:
    """A rule: what followed the last place where the last n tokens, in this order or any, stood."""

    def rule(ids: list[int]) -> int:
        wanted = ids[-n:]
        for end in range(len(ids) - 1, n - 1, -1):
            there = ids[end - n : end]
            if there == wanted if ordered else sorted(there) == sorted(wanted):
                return ids[end]
        return 0

    return rule
