"""A subject from a model of Hugging Face: on a person's text, or on tokens drawn at random."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.data import Batch
from lightning_posenc.diagnose.subject import N_SEQUENCES, OtherModel
from lightning_posenc.mistakes.one_line import reason
from lightning_posenc.pretrained.evaluating.texts import Text, read_texts
from lightning_posenc.pretrained.reading import Pretrained, quiet, read
from lightning_posenc.pretrained.where_positions import InTable, what_positions

LENGTH = 512  # tokens of a sequence of text, where the model was trained on as many
DRAWN = 64  # of one that is drawn at random
TRIED = 64  # tokens that show whether anything goes through the model at all
TOKENS = 1 << 14  # of all sequences, of which there are between two and N_SEQUENCES


def subject_in_folder(
    source: str | Path,
    texts: Sequence[Path] = (),
    length: int | None = None,
    sequences: int | None = None,
    skipped: Sequence[str] = (),
    **options: Any,
) -> OtherModel:
    """Take in a Hugging Face model.

    Args:
        source: As `pretrained.reading.read` takes it.
        texts: Files that the sequences are taken from, in equal parts; tokens are drawn at random
            without any.
        length: Tokens of a sequence; None for LENGTH of text, DRAWN of what is drawn, or the
            trained length if that is shorter.
        sequences: How many at most; None for TOKENS tokens in all.
        skipped: Members of `language.SKIPPABLE`, which are not measured.
        options: Of `read`.

    Raises:
        ValueError: If there is no whole model of token ids, or the text is too short.
    """
    pretrained = read(source, head=None, **options)
    _check_ids(pretrained)
    read_in = tuple(read_texts(pretrained, texts))
    length = _length(pretrained, length, LENGTH if read_in else DRAWN)
    n = max(2, min(N_SEQUENCES, TOKENS // length)) if sequences is None else sequences
    whole("diagnose", "--sequences", n, 2)
    tokens = _windows(read_in, length, n) if read_in else _drawn(pretrained, n, length)
    tokens = tokens.to(pretrained.device)
    subject = OtherModel(
        pretrained, Batch(tokens, tokens), read_in, _limit(pretrained), tuple(skipped)
    )
    trained = what_positions(pretrained.model).trained_length
    longer = trained is not None and length > trained
    few = tokens[:1] if longer else tokens[:1, :TRIED]
    try:
        with torch.no_grad(), quiet():  # a config can be accepted that no input goes through
            subject.outputs(Batch(few, few))
    except Exception as error:  # the library's errors are of every kind
        beyond = f"at {length} tokens, beyond its {trained}, " if longer else ""
        said = f"{source}: {beyond}not a model that can be examined ({reason(error)})"
        raise ValueError(said) from error
    return subject


def _check_ids(pretrained: Pretrained) -> None:
    """Check that a model takes token ids."""
    size = getattr(pretrained.config, "vocab_size", None)
    if pretrained.kind == "image" or not isinstance(size, int) or size < 1:
        kind = type(pretrained.model).__name__
        raise ValueError(f"{pretrained.name}: {kind} takes no token ids, and so is not examined")


def _limit(pretrained: Pretrained) -> int | None:
    """The longest sequence that the config names."""
    limit = getattr(pretrained.config, "max_position_embeddings", None)
    if limit is not None and (not isinstance(limit, int) or limit < 2):
        raise ValueError(f"{pretrained.name}: max_position_embeddings={limit}")
    return limit


def _length(pretrained: Pretrained, asked: int | None, usual: int) -> int:
    positions = what_positions(pretrained.model)
    if asked is None:
        return min(usual, positions.trained_length or usual)
    whole("diagnose", "--length", asked, 8)
    if isinstance(positions, InTable) and asked > positions.rows - positions.offset:
        rows = positions.rows - positions.offset
        raise ValueError(f"--length {asked}: the table of positions ends at {rows} tokens")
    return asked


def _windows(texts: Sequence[Text], length: int, n: int) -> Tensor:
    """Sequences of all texts, in equal parts; a text that is too short is an error."""
    each = -(-n // len(texts))
    windows = torch.cat([text.windows(length, each) for text in texts])
    if len(windows) < 2:
        raise ValueError(
            f"--text {texts[0].name}: {len(texts[0].ids)} tokens are too few: give 2 x {length}"
        )
    return windows


def _drawn(pretrained: Pretrained, n: int, length: int) -> Tensor:
    """Ids drawn at random, none of them that of padding, which some families do not count."""
    generator = torch.Generator().manual_seed(0)
    size, pad = pretrained.config.vocab_size, getattr(pretrained.config, "pad_token_id", None)
    if not isinstance(pad, int) or not 0 <= pad < size or size == 1:
        return torch.randint(size, (n, length), generator=generator)
    ids = torch.randint(size - 1, (n, length), generator=generator)
    return ids + (ids >= pad)
