"""The texts of a study: the tokens that every method is evaluated on, and what is left of them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from lightning_posenc.extend.results import ORDER, PASSKEY
from lightning_posenc.pretrained.evaluating.texts import Text, read_texts

if TYPE_CHECKING:
    from lightning_posenc.pretrained.reading import Pretrained


class Evaluated(NamedTuple):
    """One text of a study.

    Args:
        name: Of its file.
        tokens: (N, T) ids of the sequences that every method is evaluated on.
        rest: What comes after them, of which nothing is evaluated.
    """

    name: str
    tokens: Tensor
    rest: Text


def evaluated_texts(
    files: Sequence[Path], pretrained: "Pretrained", length: int, n: int
) -> list[Evaluated]:
    """Tokenise files, and cut the first tokens of each into sequences.

    Args:
        files: Of text.
        pretrained: A model with its tokenizer.
        length: T, tokens of a sequence.
        n: At most so many sequences of each file.

    Raises:
        ValueError: If a file cannot be read, is too short, or is there twice.
    """
    resolved = Counter(file.resolve() for file in files)
    if twice := [file for file in files if resolved[file.resolve()] > 1]:
        raise ValueError(f"--text {twice[0]} is given twice")
    named = Counter(file.name for file in files)
    found = []
    for file, text in zip(files, read_texts(pretrained, files), strict=True):
        n_here = min(n, text.holds(length))
        if not n_here:
            raise ValueError(
                f"--text {file}: {len(text.ids):,} tokens are too few for a sequence of "
                f"{length:,}: give a longer text, or a smaller --to"
            )
        end = n_here * (length - len(text.prefix) - len(text.suffix))
        is_clear = named[file.name] == 1 and file.name not in (PASSKEY, ORDER)
        name = file.name if is_clear else str(file.resolve())
        first, rest = (text._replace(ids=ids) for ids in (text.ids[:end], text.ids[end:]))
        found.append(Evaluated(name, first.windows(length, n_here), rest))
    return found
