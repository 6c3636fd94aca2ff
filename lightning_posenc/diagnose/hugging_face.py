"""A subject from a model of Hugging Face: its hidden states, on random tokens or on a text."""

from pathlib import Path
from typing import Any

import torch

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.subject import N_SEQUENCES, OtherModel
from lightning_posenc.mistakes.one_line import reason
from lightning_posenc.pretrained.reading import Pretrained, read
from lightning_posenc.runs.untrusted import read_text

HF_LENGTH = 64  # tokens of the sequences that a Hugging Face model is examined on


def subject_in_folder(source: str | Path, text: Path | None = None, **options: Any) -> OtherModel:
    """Take in a Hugging Face model.

    Args:
        source: As `pretrained.reading.read` takes it.
        text: A file whose first tokens are the sequences, if the folder holds a tokenizer too;
            None for tokens drawn at random.
        options: Of `read`.

    Raises:
        ValueError: If there is no whole model of token ids, or the text is too short.
    """
    pretrained = read(source, head=False, attention="eager", **options)
    try:
        return _subject(pretrained, text)
    except _Refused:
        raise
    except Exception as error:  # the library's errors are of every kind
        raise ValueError(f"{source}: not a model that can be examined ({reason(error)})") from error


class _Refused(ValueError):
    """A mistake that is already said in one line."""


def _subject(pretrained: Pretrained, text: Path | None) -> OtherModel:
    model = pretrained.model
    model = getattr(model, "encoder", model) if model.config.is_encoder_decoder else model
    limit = _limit(model)
    n_tokens = min(HF_LENGTH, limit or HF_LENGTH)
    tokens = _random(model, n_tokens) if text is None else _tokenised(pretrained, text, n_tokens)
    tokens = tokens.to(pretrained.device)
    subject = OtherModel(model, Batch(tokens, tokens), pretrained.name, limit)
    with torch.no_grad():  # a config can be accepted that no input goes through
        subject.outputs(Batch(tokens[:1], tokens[:1]))
    return subject


def _limit(model: Any) -> int | None:
    """The longest sequence that the config names."""
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is not None and (not isinstance(limit, int) or limit < 2):
        raise ValueError(f"max_position_embeddings={limit}")
    return limit


def _random(model: Any, n_tokens: int) -> torch.Tensor:
    size = getattr(model.config, "vocab_size", None)
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"{type(model).__name__} takes no token ids")
    generator = torch.Generator().manual_seed(0)
    return torch.randint(size, (N_SEQUENCES, n_tokens), generator=generator)


def _tokenised(pretrained: Pretrained, text: Path, n_tokens: int) -> torch.Tensor:
    if not text.is_file():
        raise _Refused(f"--text {text}: no such file")
    if pretrained.tokenizer is None:
        raise _Refused(f"--text: {pretrained.no_tokenizer}: leave --text out")
    try:
        said = read_text(text)
    except (OSError, ValueError) as error:
        raise _Refused(f"--text {error}") from error
    ids = pretrained.tokenizer(said, add_special_tokens=False)["input_ids"]
    n = min(len(ids) // n_tokens, N_SEQUENCES)
    if n < 2:
        raise _Refused(f"--text {text}: {len(ids)} tokens are too few: give 2 x {n_tokens}")
    return torch.tensor(ids[: n * n_tokens]).view(n, n_tokens)
