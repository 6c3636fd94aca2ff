"""Text to token ids and back."""

import json as json_format
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_posenc.data.saying import say
from lightning_posenc.runs.gguf_header import gguf_header

if TYPE_CHECKING:
    from tokenizers import Tokenizer


SHOWN = 10  # characters that an error names


class Vocabulary(ABC):
    """A map between text and ids 0..size-1.

    Implementations hold plain values only, so that a cached result can be keyed on them.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of ids."""

    @abstractmethod
    def encode(self, text: str) -> NDArray[np.int32]:
        """(n,) ids of a text."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""

    def state(self) -> dict[str, Any]:
        """Plain values that `vocabulary_of` makes the same vocabulary of."""
        return {"kind": type(self).__name__} | asdict(self)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Bytes(Vocabulary):
    """The 256 bytes of UTF-8."""

    @property
    def size(self) -> int:
        return 256

    def encode(self, text: str) -> NDArray[np.int32]:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32)

    def decode(self, ids: Sequence[int]) -> str:
        # Ids that a model makes up need not be valid UTF-8.
        return bytes(ids).decode(errors="replace")


@dataclass(frozen=True)
class Chars(Vocabulary):
    """Single characters, numbered in order of code point.

    Args:
        characters: all of them, sorted.
    """

    characters: str

    @property
    def size(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> NDArray[np.int32]:
        """(n,) ids of a text.

        Raises:
            ValueError: if a character is not in the vocabulary.
        """
        known, codes = _code_points(self.characters), _code_points(text)
        ids = np.searchsorted(known, codes).clip(max=self.size - 1)
        unknown = codes[known[ids] != codes]
        if len(unknown):
            raise ValueError(f"not in the vocabulary: {named(map(chr, unknown.tolist()))}")
        return ids.astype(np.int32)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.characters[i] for i in ids)


def named(characters: Iterable[str]) -> str:
    """The different ones of some characters, as a person can tell them apart."""
    different = sorted(set(characters))
    shown = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in different[:SHOWN])
    return shown + (f" and {len(different) - SHOWN} more" if len(different) > SHOWN else "")


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


_GGUF = ".gguf"
MOST_PIECES = 1 << 24  # ids of a tokenizer's file, which may be anybody's


@dataclass(frozen=True)
class Subwords(Vocabulary):
    """The pieces of a trained `tokenizers` tokenizer.

    Args:
        json: the content of its JSON file.
    """

    json: str

    @property
    def size(self) -> int:
        # Ids can have gaps; an embedding needs a row for the highest of them.
        return max(self.pieces.values()) + 1

    @property
    def pieces(self) -> dict[str, int]:
        """Ids by piece."""
        return _tokenizer(self.json).get_vocab()

    def encode(self, text: str) -> NDArray[np.int32]:
        with _known():
            return np.array(_tokenizer(self.json).encode(text).ids, dtype=np.int32)

    def encode_words(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """Ids of a sentence's pieces, and of which word each is a piece; no special tokens."""
        with _known():
            done = _tokenizer(self.json).encode(
                list(words), is_pretokenized=True, add_special_tokens=False
            )
        return done.ids, [word for word in done.word_ids if word is not None]

    def decode(self, ids: Sequence[int]) -> str:
        return _tokenizer(self.json).decode(list(ids))


def vocabulary_of(state: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary of a `state`."""
    values = dict(state)
    kinds = {kind.__name__: kind for kind in (Bytes, Chars, Subwords)}
    return kinds[values.pop("kind")](**values)


def read_tokenizer(path: str | Path) -> Subwords:
    """The vocabulary of a tokenizer: of its JSON file, or of a model of Hugging Face (its folder,
    or its GGUF file), of which no code is run.

    What the file says of cutting and padding texts is left out: both are the data's to choose.

    Raises:
        ValueError: if the file is not one.
    """
    try:
        text = _json_of(Path(path).expanduser())
        content = json_format.loads(text)
        saved = [name for name in ("truncation", "padding") if content.get(name)]
        if saved:
            text = json_format.dumps(content | dict.fromkeys(saved), ensure_ascii=False)
        vocabulary = Subwords(text)
        size = vocabulary.size
    except Exception as error:  # `tokenizers` raises bare Exceptions
        is_json = Path(path).is_file() and Path(path).suffix != _GGUF
        what = "is not a tokenizer's JSON file" if is_json else "holds no tokenizer"
        said = " ".join(str(error).split())
        raise ValueError(f"data.vocabulary={path} {what}: {said}") from error
    if size > MOST_PIECES:
        raise ValueError(f"data.vocabulary={path} has ids up to {size:,}: no table is so large")
    if saved:
        say(f"data.vocabulary={path}: its own {' and '.join(saved)} is left out")
    return vocabulary


def _json_of(path: Path) -> str:
    """The JSON of a tokenizer, as its own library writes it."""
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file() and file.suffix != _GGUF:
        return file.read_bytes().decode("utf-8")
    if path.is_file():
        gguf_header(path)  # within bounds, which the library's own reader knows none of
    from transformers import AutoTokenizer  # which takes seconds

    where = {"gguf_file": path.name} if path.is_file() else {}
    folder = path.parent if where else path
    safe = {"local_files_only": True, "trust_remote_code": False}
    return AutoTokenizer.from_pretrained(folder, **safe, **where).backend_tokenizer.to_str()


@contextmanager
def _known() -> Iterator[None]:
    """Turn a tokenizer's complaint about a text into one line.

    Raises:
        ValueError: for its bare Exceptions.
    """
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"data.vocabulary: the tokenizer cannot read the text ({error}): give one that has a "
            "token for what is unknown"
        ) from error


@lru_cache(maxsize=2)
def _tokenizer(json: str) -> "Tokenizer":
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json)
