"""Makes a tiny Llama of Hugging Face, to try commands on: a folder with its tokenizer of bytes,
trained at 128 tokens on the documentation that comes with Python.

    python benchmarks/tiny_llama.py tiny_llama              # a minute of one core
    python benchmarks/tiny_llama.py tiny_llama --steps 0    # with random weights
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from lightning_posenc.pretrained.evaluating.texts import Text, tokenised
from lightning_posenc.pretrained.methods import Unchanged
from lightning_posenc.pretrained.reading import Pretrained

from lightning_posenc.data import TextData
from lightning_posenc.pretrained.adapting.finetuning import finetune

LENGTH = 128
SHARE = 0.9  # of the documents that a config trains on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    make(given.folder, given.steps)


def make(folder: Path, steps: int) -> None:
    """Make the folder, with so many steps of training."""
    torch.manual_seed(0)
    made = Pretrained(tiny_model(), byte_tokenizer(), str(folder), "causal")
    if steps:
        texts = [documentation(made)]
        made = finetune(
            made, Unchanged(), LENGTH, texts, steps, batch_size=16, trains="all", rate=3e-3,
            tell=say,
        )  # fmt: skip
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    print(f"{folder}: {made.model.num_parameters():,} parameters, {steps} steps at {LENGTH} tokens")


def tiny_model() -> Any:
    """Four layers of width 64, random."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=256,
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def byte_tokenizer() -> Any:
    """Every byte of UTF-8 is a token, in the order of the bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({c: i for i, c in enumerate(characters)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=LENGTH)


def documentation(pretrained: Pretrained) -> Text:
    """Python's documentation, as far as configs do not validate on it."""
    documents = TextData("python_docs").rows()["train"]["text"]
    return tokenised(pretrained, documents[: int(SHARE * len(documents))], "python_docs")


def say(step: int, loss: float) -> None:
    """Print every fiftieth loss."""
    if step % 50 == 0:
        print(f"step {step}: loss {loss:.3f}", flush=True)


if __name__ == "__main__":
    main()
