"""A person's own text, in the model's own tokens.

Shapes: B sequences, T tokens.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.runs.untrusted import read_text

if TYPE_CHECKING:
    from lightning_posenc.pretrained.reading import Pretrained

MOST_BYTES = 1 << 28  # of a file of text
_JSONL, _TEXT = ".jsonl", "text"


class Text(NamedTuple):
    """A text as token ids.

    Args:
        name: Of the file.
        ids: (N,) without special tokens, but for the one that ends a document.
        prefix: Special tokens that begin every sequence of this model, such as BOS or [CLS].
        suffix: Those that end it, such as [SEP].
    """

    name: str
    ids: Tensor
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()

    def holds(self, length: int) -> int:
        """How many windows of that many tokens there are."""
        return len(self.ids) // (length - len(self.prefix) - len(self.suffix))

    def windows(self, length: int, n: int) -> Tensor:
        """Cut the text into sequences, spread over all of it, which do not overlap.

        Args:
            length: T, special tokens included.
            n: At most B.

        Returns:
            (B, T), B >= 1, as many as there are.

        Raises:
            ValueError: If the text holds none.
        """
        inner = length - len(self.prefix) - len(self.suffix)
        whole(self, "length", length, len(self.prefix) + len(self.suffix) + 1)
        whole(self, "n", n)
        there = self.holds(length)
        if not there:
            raise ValueError(
                f"{self.name}: {len(self.ids)} tokens are too few for one sequence of {length}"
            )
        chosen = torch.arange(min(n, there)) * there // min(n, there)
        body = self.ids[: there * inner].view(there, inner)[chosen]
        begin, end = (
            torch.tensor(ids, dtype=torch.long).expand(len(chosen), -1)
            for ids in (self.prefix, self.suffix)
        )
        return torch.cat([begin, body, end], dim=1)


def read_texts(pretrained: "Pretrained", paths: Iterable[Path]) -> list[Text]:
    """Tokenise files of text, or of lines of JSON with a "text" each (`.jsonl`).

    Raises:
        ValueError: If a file cannot be read or is empty, or the model has no tokenizer.
    """
    return [tokenised(pretrained, _documents(path), path.name) for path in paths]


def tokenised(pretrained: "Pretrained", documents: Sequence[str], name: str) -> Text:
    """Tokenise documents, each followed by the token that ends one, if there is such a token.

    Raises:
        ValueError: If the model has no tokenizer.
    """
    tokenizer = pretrained.tokenizer
    if tokenizer is None:
        raise ValueError(
            f"--text {name}: {pretrained.name} has no tokenizer: leave --text out, or add its files"
        )
    end = getattr(tokenizer, "eos_token_id", None)
    ids: list[int] = []
    for number, document in enumerate(documents):
        if number and end is not None:
            ids.append(end)
        ids += _ids(tokenizer, document, special=False)
    prefix, suffix = special_tokens(tokenizer)
    return Text(name, torch.tensor(ids, dtype=torch.long), prefix, suffix)


def special_tokens(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that a tokenizer puts before and behind every text."""
    plain, dressed = (_ids(tokenizer, "a", special) for special in (False, True))
    extra = len(dressed) - len(plain)
    for start in range(extra + 1):
        if dressed[start : start + len(plain)] == plain:
            return tuple(dressed[:start]), tuple(dressed[start + len(plain) :])
    return (), ()


def _ids(tokenizer: Any, text: str, special: bool) -> list[int]:
    # Longer than the model's own limit is what is asked for here: no warning.
    return list(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])


def _documents(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(f"--text {path}: no such file")
    try:
        said = read_text(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise ValueError(f"--text {error}") from error
    found = list(_of_lines(path, said)) if path.suffix == _JSONL else [said]
    if not any(each.strip() for each in found):
        raise ValueError(f"--text {path}: there is no text in it")
    return found


def _of_lines(path: Path, said: str) -> Iterable[str]:
    for number, line in enumerate(said.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not isinstance(row.get(_TEXT), str):
            raise ValueError(f'--text {path}: line {number} is no {{"{_TEXT}": "…"}}')
        yield row[_TEXT]
