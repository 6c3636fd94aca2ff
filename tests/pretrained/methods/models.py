"""Tiny random models of several families, in memory, whose outputs depend on positions."""

from typing import Any

import torch

from lightning_posenc.pretrained.reading import Kind, Pretrained
from tests.pretrained.tiny import tiny as drawn

TRAINED = 32  # tokens
_SHARP = 12.0  # times the drawn weights, so that attention is far from even
_GROUPED = {
    "intermediate_size": 32, "num_key_value_heads": 2, "num_attention_heads": 4, "head_dim": 8,
    "max_position_embeddings": TRAINED,
}  # fmt: skip
_LENGTH = {"max_position_embeddings": TRAINED}
_IMAGE = {"image_size": 28, "patch_size": 2}
_HALF = {
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}
}

# What it is for, and what its config says besides the sizes.
FAMILIES: dict[str, tuple[Kind, dict[str, Any]]] = {
    "llama": ("causal", _GROUPED),
    "mistral": ("causal", _GROUPED | {"sliding_window": None}),
    "qwen3": ("causal", _GROUPED),
    "gpt_neox": ("causal", _LENGTH | _HALF),  # half of the channels turn
    "cohere": ("causal", _GROUPED),  # neighbouring channels make a pair
    "phi3": ("causal", _LENGTH | {"original_max_position_embeddings": TRAINED}),
    "gemma2": ("causal", _GROUPED),  # caps its logits
    "gemma3_text": ("causal", _GROUPED | {"sliding_window": 8}),
    "bloom": ("causal", {}),
    "gpt2": ("causal", _LENGTH),
    "opt": ("causal", _LENGTH),
    "bert": ("masked", _LENGTH),
    "roberta": ("masked", {"max_position_embeddings": TRAINED + 3}),
    "vit": ("image", _IMAGE),
    "deit": ("image", _IMAGE | {"architectures": ["DeiTForImageClassification"]}),
}
HEADS = {
    "causal": "AutoModelForCausalLM",
    "masked": "AutoModelForMaskedLM",
    "image": "AutoModelForImageClassification",
}


def tiny(family: str, **options: Any) -> Pretrained:
    """A model with drawn weights."""
    kind, said = FAMILIES[family]
    with torch.random.fork_rng():
        model = drawn(family, HEADS[kind], **said | options)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(_SHARP)
    return Pretrained(model, None, family, kind)


def tokens(n: int, n_batch: int = 1) -> torch.Tensor:
    """Ids (B, n), without those that families give a meaning."""
    return torch.randint(3, 50, (n_batch, n), generator=torch.Generator().manual_seed(1))


def logits(pretrained: Pretrained, ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
    """(B, n, V)."""
    with torch.no_grad():
        found: torch.Tensor = pretrained.model(input_ids=ids, **inputs).logits
    return found
