"""A tiny Llama whose config says that it was trained on 32 bytes at a time, and two texts."""

from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers

TRAINED, TO = 32, 96
WORDS = "the boats lay at the quay and nobody was about but the baker who swept the step and sang"


def byte_tokenizer() -> Any:
    """One token for each byte, begun by <s>."""
    characters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE({"<s>": 0, **{c: i + 1 for i, c in enumerate(characters)}}, [])
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `save_pretrained` leaves it; attention is far from uniform."""
    config = transformers.LlamaConfig(
        vocab_size=257, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=TRAINED,
        bos_token_id=0, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "norm" not in name:
                    parameter.normal_(std=0.3)
    place = tmp_path_factory.mktemp("models") / "tiny-llama"
    model.save_pretrained(place)
    byte_tokenizer().save_pretrained(place)
    return place


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of 400 and 230 bytes: four and two sequences of TO tokens."""
    place = tmp_path_factory.mktemp("texts")
    files = place / "harbour.txt", place / "baker.txt"
    files[0].write_text(" ".join([WORDS] * 5)[:400])
    files[1].write_text(" ".join(WORDS.split()[::-1] * 3)[:230])
    return list(files)
