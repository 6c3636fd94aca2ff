"""What all data modules made of text share: the source and the vocabulary."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_posenc.checks import is_a, whole
from lightning_posenc.compat.datasets import fingerprint
from lightning_posenc.data.fixed import FixedData
from lightning_posenc.data.text.byte_pairs import bpe_json
from lightning_posenc.data.text.files import empty
from lightning_posenc.data.text.reading import decodable
from lightning_posenc.data.text.tokenised import characters, mapped, tokenised
from lightning_posenc.data.text.vocabulary import (
    Bytes,
    Chars,
    Subwords,
    Vocabulary,
    named,
    read_tokenizer,
    vocabulary_of,
)

if TYPE_CHECKING:
    from datasets import Dataset

MADE = ("bytes", "chars", "bpe")


class CorpusData(FixedData):
    """Batches of text from a file, Python's documentation, or the Hub.

    Args:
        path: where the text is; `sources.load_rows` says what it may be.
        subset: which of a Hub dataset's subsets.
        text_column: which column holds the text.
        vocabulary: `bytes` (256), `chars` (those that occur in the whole corpus, sorted), `bpe`
            (byte-level pieces, trained once on the training split of the source, before any of it
            goes to validation), or the path of a tokenizer's JSON file, or of the folder or GGUF
            file of a model of Hugging Face.
        vocabulary_size: number of pieces of `bpe`, at least 256.
        options: those of `FixedData`.

    Raises:
        ValueError: if a number is out of range.
        FileNotFoundError: if the tokenizer's file does not exist.
    """

    def __init__(
        self,
        path: str | None = None,
        subset: str | None = None,
        text_column: str = "text",
        vocabulary: str = "bytes",
        vocabulary_size: int = 4096,
        **options: Any,
    ) -> None:
        if not path:
            raise ValueError("data.path is empty: give a file, python_docs, or a Hub dataset")
        super().__init__(path, **options)
        is_a(self, "vocabulary", vocabulary, str)
        self.subset = None if subset is None else is_a(self, "subset", subset, str)
        self.text_column = is_a(self, "text_column", text_column, str)
        self.vocabulary_name = vocabulary
        self.vocabulary_size = whole(self, "vocabulary_size", vocabulary_size, 256)
        self._vocabulary: Vocabulary | None = None

    @abstractmethod
    def rows(self) -> "dict[str, Dataset]":
        """The rows of each split of the source."""

    def options(self) -> dict[str, Any]:
        return {
            "subset": self.subset,
            "text_column": self.text_column,
            "vocabulary": self.vocabulary_name,
            "vocabulary_size": self.vocabulary_size,
            **super().options(),
        }

    def meaning(self) -> dict[str, Any]:
        return {"vocabulary": self.vocabulary.state()}

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Read text as the other does.

        Raises:
            ValueError: if another vocabulary is asked for.
        """
        super().take_over(meaning, options)
        theirs = vocabulary_of(meaning["vocabulary"])
        asked: dict[str, Any] = {"vocabulary": self.vocabulary_name}
        if self.vocabulary_name == "bpe":
            asked["vocabulary_size"] = self.vocabulary_size
        for name, value in asked.items():
            if value != options[name] and not self._is_tokenizer(theirs):
                raise ValueError(
                    f"data.{name}={value}: the checkpoint was trained with {options[name]}, whose "
                    f"tokens its weights know: give that, or leave data.{name} out"
                )
        self._vocabulary = theirs

    def read_by(self, vocabulary: Vocabulary) -> None:
        """Use a vocabulary in place of one made of the text, as before training other weights'."""
        self._vocabulary = vocabulary

    def _is_tokenizer(self, vocabulary: Vocabulary) -> bool:
        """Whether a vocabulary is that of the file that was asked for."""
        if self.vocabulary_name in MADE or not Path(self.vocabulary_name).expanduser().exists():
            return False
        return read_tokenizer(self.vocabulary_name) == vocabulary

    @property
    def vocabulary(self) -> Vocabulary:
        """The map between text and ids: the checkpoint's, if one was taken over; else `chars` and
        `bpe` read the corpus and cache the result.
        """
        if self._vocabulary is None:
            self._vocabulary = self._own_vocabulary()
        return self._vocabulary

    def _own_vocabulary(self) -> Vocabulary:
        if self.vocabulary_name == "bytes":
            return Bytes()
        if self.vocabulary_name == "chars":
            occurring = set().union(*map(self._characters, self.rows().values()))
            if not occurring:
                raise empty(self.path)
            return Chars("".join(sorted(occurring)))
        if self.vocabulary_name == "bpe":
            key, train = self._corpus()
            return Subwords(bpe_json(lambda: self._texts(train), key, self.vocabulary_size))
        if not Path(self.vocabulary_name).expanduser().exists():
            raise FileNotFoundError(
                f"data.vocabulary={self.vocabulary_name} does not exist: "
                f"give {', '.join(MADE)}, or the JSON file of a tokenizer, or a model's folder"
            )
        return read_tokenizer(self.vocabulary_name)

    def _characters(self, rows: "Dataset") -> set[str]:
        """All characters that occur in some texts."""
        return self._characters_of(rows, self.text_column)

    def _characters_of(self, rows: "Dataset", column: str) -> set[str]:
        from datasets import Features, Value

        features = Features(text=Value("string"))
        with decodable(self.path):
            found = mapped(rows, characters, features, column=column)
        return set().union(*found["text"])

    @property
    def vocab_size(self) -> int:
        """Number of different tokens; known before the text is prepared."""
        return self.vocabulary.size

    def decode(self, ids: list[int]) -> str:
        """Text of token ids."""
        return self.vocabulary.decode(ids)

    def _corpus(self) -> tuple[object, Iterable[dict]]:
        """What tells the training text from any other, and its rows."""
        train = self.rows()["train"]
        return (fingerprint(train), self.text_column), train

    def _texts(self, rows: Iterable[dict]) -> Iterator[str]:
        with decodable(self.path):
            for row in rows:
                yield row[self.text_column] or ""

    def _encoded(self, splits: "dict[str, Dataset]") -> "dict[str, Dataset]":
        """Token ids of each split, from the cache if it has them.

        Raises:
            ValueError: if the checkpoint's characters are not all that occur.
        """
        vocabulary = self.vocabulary
        if isinstance(vocabulary, Chars) and self._adopted is not None:
            occurring = set().union(*map(self._characters, splits.values()))
            if new := occurring - set(vocabulary.characters):
                raise ValueError(
                    f"data.path={self.path}: the text that the checkpoint was trained on lacks "
                    f"{named(new)}: replace them, or train on text that has them"
                )
        with decodable(self.path):
            return {
                name: tokenised(rows, self.text_column, vocabulary) for name, rows in splits.items()
            }
