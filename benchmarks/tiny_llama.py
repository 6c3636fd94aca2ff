"""Makes a tiny Llama of Hugging Face, to try commands on: a folder with its tokenizer of bytes,
trained at 128 tokens on the documentation that comes with Python.

    python benchmarks/tiny_llama.py tiny_llama              # a minute of one core
    python benchmarks/tiny_llama.py tiny_llama --steps 0    # with random weights
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.optim import AdamW

from lightning_posenc.data import TextData
from lightning_posenc.pretrained.adapting import PretrainedLanguageModel

LENGTH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    make(given.folder, given.steps)


def make(folder: Path, steps: int) -> None:
    """Make the folder, with so many steps of training."""
    torch.manual_seed(0)
    model = tiny_model()
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    if steps:
        train(folder, steps)
    print(f"{folder}: {model.num_parameters():,} parameters, {steps} steps at {LENGTH} tokens")


def train(folder: Path, steps: int) -> None:
    """Train the folder's model on the documentation, as a config would."""
    module = PretrainedLanguageModel(str(folder), optimizer=partial(AdamW, lr=3e-3))
    data = TextData(vocabulary=str(folder), train_length=LENGTH, batch_size=16, seed=0)
    trainer = L.Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False,
        enable_model_summary=False, limit_val_batches=20, use_distributed_sampler=False,
        gradient_clip_val=1.0,
    )  # fmt: skip
    trainer.fit(module, data)
    trainer.validate(module, data)
    module.pretrained.model.save_pretrained(folder)


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


if __name__ == "__main__":
    main()
