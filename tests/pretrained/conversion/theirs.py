"""Tiny models of Hugging Face's families, whose every weight is drawn, biases and norms too."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

V, D, H, L, T = 40, 32, 4, 2, 12  # tokens, width, heads, layers, the longest sequence

LLAMA = {
    "vocab_size": V, "hidden_size": D, "num_attention_heads": H, "num_key_value_heads": 2,
    "num_hidden_layers": L, "intermediate_size": 48, "max_position_embeddings": 64,
}  # fmt: skip
BERT = {
    "vocab_size": V, "hidden_size": D, "num_attention_heads": H, "num_hidden_layers": L,
    "intermediate_size": 48, "max_position_embeddings": 16, "mask_token_id": 4,
}  # fmt: skip
VIT = {
    "hidden_size": D, "num_attention_heads": H, "num_hidden_layers": L, "intermediate_size": 48,
    "image_size": [8, 12], "patch_size": 4, "num_channels": 2, "num_labels": 3,
}  # fmt: skip
GPT2 = {"vocab_size": V, "n_embd": D, "n_head": H, "n_layer": L, "n_positions": 16}
NEOX = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
BLOOM = {"vocab_size": V, "hidden_size": D, "n_head": H, "n_layer": L}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", LLAMA),
    "llama, tied, biases": (
        "LlamaForCausalLM",
        {**LLAMA, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
    ),
    "llama, classes": ("LlamaForSequenceClassification", {**LLAMA, "pad_token_id": 0}),
    "mistral": ("MistralForCausalLM", {**LLAMA, "sliding_window": 5}),
    "qwen2": ("Qwen2ForCausalLM", LLAMA),
    "qwen3": ("Qwen3ForTokenClassification", {**LLAMA, "head_dim": D // H}),
    "smollm3": ("SmolLM3ForCausalLM", {**LLAMA, "no_rope_layers": [1, 0], "pad_token_id": 0}),
    "olmo": ("OlmoForCausalLM", LLAMA),
    "stablelm": ("StableLmForCausalLM", {**LLAMA, "use_qkv_bias": True}),
    "starcoder2": ("Starcoder2ForCausalLM", {**LLAMA, "sliding_window": None}),
    "gpt_neox": ("GPTNeoXForCausalLM", NEOX),
    "gpt_neox, in sequence": ("GPTNeoXForCausalLM", {**NEOX, "use_parallel_residual": False}),
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "gpt2, tokens": ("GPT2ForTokenClassification", {**GPT2, "num_labels": 3}),
    "bloom": ("BloomForCausalLM", BLOOM),
    "bert": ("BertForMaskedLM", {**BERT, "layer_norm_eps": 1e-5}),
    "bert, sequences": ("BertForSequenceClassification", {**BERT, "num_labels": 3}),
    "roberta": ("RobertaForMaskedLM", {**BERT, "pad_token_id": 1}),
    "roberta, sequences": ("RobertaForSequenceClassification", {**BERT, "pad_token_id": 1}),
    "camembert": ("CamembertForTokenClassification", {**BERT, "pad_token_id": 1}),
    "vit": ("ViTForImageClassification", VIT),
    "deit": ("DeiTForImageClassification", {**VIT, "qkv_bias": False}),
}


def made(name: str, **changes: Any) -> Any:
    """The model of an entry of `CONFIGS`."""
    import transformers

    class_name, options = CONFIGS[name]
    kind: Callable[..., Any] = getattr(transformers, class_name)
    config = kind.config_class(**{**options, **changes})  # type: ignore[attr-defined]
    config._attn_implementation = "eager"
    return drawn(kind(config).eval())


def drawn(model: nn.Module) -> Any:
    """The model, every weight drawn about what it was."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=draws)
    return model
