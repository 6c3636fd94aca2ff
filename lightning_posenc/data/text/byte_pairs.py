"""Byte-level BPE, trained on the corpus once and kept beside the `datasets` library's cache."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from lightning_posenc.compat.datasets import hashed
from lightning_posenc.data.saying import say

LONGEST = 1 << 20  # characters that are handed over at once
WORD = 256  # bytes; a longer word is cut, so that no piece is longer


def bpe_json(texts: Callable[[], Iterable[str]], key: object, size: int) -> str:
    """A tokenizer's JSON: the cached one, or else one trained now.

    Of several processes one trains while the others wait and read. A file appears only when it is
    whole.

    Args:
        texts: opens the corpus; called only to train.
        key: what tells this corpus from any other.
        size: number of pieces, at least 256; fewer are made of a text with too few pairs.

    Raises:
        ValueError: if the size is too small.
    """
    import datasets

    if size < 256:
        raise ValueError(f"data.vocabulary_size={size}: give at least 256, one for every byte")
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "lightning_posenc"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"bpe-{size}-{hashed(key)}.json"
    with FileLock(f"{file}.lock"):
        if file.exists() and not _is_whole(file):
            say(f"the cached pieces in {file} were broken, and are trained anew")
            file.unlink()
        if not file.exists():
            partial = file.with_suffix(".partial")
            partial.write_text(train_bpe(texts(), size), encoding="utf-8")
            os.replace(partial, file)
    return file.read_text(encoding="utf-8")


def _is_whole(file: Path) -> bool:
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_str(file.read_bytes().decode("utf-8"))
    except Exception:  # `tokenizers` raises bare Exceptions
        return False
    return True


def train_bpe(texts: Iterable[str], size: int) -> str:
    """Train a tokenizer; the same texts and size give the same JSON.

    Source: Sennrich et al. 2016, arXiv:1508.07909, on bytes as in GPT-2 (Radford et al. 2019).

    Args:
        texts: the corpus.
        size: number of pieces.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    # A word can be a whole file, and without a limit one of 5 MB took more than 100 s to train on.
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    parts = pre_tokenizers.Split(Regex(f".{{1,{WORD}}}"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, parts])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    pieces = (text[i : i + LONGEST] for text in texts for i in range(0, len(text), LONGEST))
    tokenizer.train_from_iterator(pieces, trainer)
    return tokenizer.to_str()
