"""Tiny models of Hugging Face's families, with random weights."""

from functools import cache
from pathlib import Path
from typing import Any

import torch

_SIZES = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
_TOKENS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
_MORE: dict[str, dict[str, Any]] = {
    "llama": {"intermediate_size": 32},
    "mistral": {"intermediate_size": 32, "num_key_value_heads": 1},
    "qwen3": {"intermediate_size": 32, "head_dim": 8, "num_key_value_heads": 1},
    "phi3": {"intermediate_size": 32},
    "gpt_neox": {"intermediate_size": 32},
    "smollm3": {"intermediate_size": 32, "no_rope_layers": [1, 0]},
    "gemma3_text": {
        "intermediate_size": 32, "head_dim": 8, "num_key_value_heads": 1,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "modernbert": {
        "intermediate_size": 32, "cls_token_id": 0, "sep_token_id": 1,
        "layer_types": ["full_attention", "sliding_attention"],
    },
    "bert": {"intermediate_size": 32},
    "roberta": {"intermediate_size": 32},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "vit": {"intermediate_size": 32, "image_size": 16, "patch_size": 4},
    "deit": {"intermediate_size": 32, "image_size": 16, "patch_size": 4},
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 2},
    "mpt": {"d_model": 16, "n_heads": 2, "n_layers": 2, "max_seq_len": 64},
    "falcon": {"alibi": True, "new_decoder_architecture": False},
    "gptj": {"n_embd": 16, "n_head": 2, "n_layer": 2, "rotary_dim": 4, "n_positions": 64},
    "codegen": {"n_embd": 16, "n_head": 4, "n_layer": 2, "rotary_dim": 4, "n_positions": 64},
    "esm": {"intermediate_size": 32, "position_embedding_type": "rotary", "mask_token_id": 3},
}  # fmt: skip
_OWN_SIZES = ("t5", "mpt", "gptj", "codegen")
_LENGTHLESS = ("t5", "mpt", "gptj", "codegen", "vit", "deit", "bloom")


def config(family: str, **options: Any) -> Any:
    """The config of a tiny model, its positions up to 64."""
    import transformers

    sizes = {"vocab_size": 50} if family in _OWN_SIZES else _SIZES
    if family in ("vit", "deit"):
        sizes = {key: value for key, value in _SIZES.items() if key != "vocab_size"}
    length = {} if family in _LENGTHLESS else {"max_position_embeddings": 64}
    given = {**_TOKENS, **sizes, **length, **_MORE.get(family, {}), **options}
    return transformers.AutoConfig.for_model(family, **given)


def tiny(family: str, head: str = "AutoModel", seed: int = 0, **options: Any) -> Any:
    """A tiny model of a family.

    Args:
        family: Its `model_type`.
        head: The auto class that makes it.
        seed: Of the weights.
        options: Of the config.
    """
    import transformers

    torch.manual_seed(seed)
    return getattr(transformers, head).from_config(config(family, **options)).eval()


@cache
def shared(family: str, head: str = "AutoModel") -> Any:
    """One tiny model for all tests that change nothing."""
    return tiny(family, head)


def saved(model: Any, folder: Path, tokenizer: bool = False) -> Path:
    """The folder of a model, with a tokenizer of words if wanted."""
    model.save_pretrained(folder)
    if tokenizer:
        word_tokenizer().save_pretrained(folder)
    return folder


def word_tokenizer(n_words: int = 50) -> Any:
    """A tokenizer of the words w0, w1, …"""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(n_words)}
    inner = Tokenizer(models.WordLevel(words, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="w0")
