"""What all data modules made of text share: the source and the vocabulary."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_posenc.checks import is_a, whole
from lightning_posenc.data.finite import FiniteData
from lightning_posenc.data.sources import decodable, empty
from lightning_posenc.data.tokenised import characters, mapped, tokenised
from lightning_posenc.data.tokenizer_training import bpe_json
from lightning_posenc.data.vocabulary import Bytes, Chars, Subwords, Vocabulary, read_tokenizer

if TYPE_CHECKING:
    from datasets import Dataset

MADE = ("bytes", "chars", "bpe")


class CorpusData(FiniteData):
    """Batches of text from a file, Python's documentation, or the Hub.

    Args:
        path: where the text is; `sources.load_rows` says what it may be.
        subset: which of a Hub dataset's subsets.
        text_column: which column holds the text.
        vocabulary: `bytes` (256), `chars` (those that occur in the whole corpus, sorted), `bpe`
            (byte-level pieces, trained on the training split), or the path of a tokenizer's JSON
            file.
        vocabulary_size: number of pieces of `bpe`, at least 256.
        options: those of `FiniteData`.

    Raises:
        ValueError: if a number is out of range.
        FileNotFoundError: if the tokenizer's file does not exist.
    """

    def __init__(
        self,
        path: str | None,
        subset: str | None,
        text_column: str,
        vocabulary: str,
        vocabulary_size: int,
        **options: Any,
    ) -> None:
        if not path:
            raise ValueError("data.path is empty: give a file, python_docs, or a Hub dataset")
        super().__init__(path, **options)
        is_a(self, "vocabulary", vocabulary, str)
        if vocabulary not in MADE and not Path(vocabulary).expanduser().is_file():
            raise FileNotFoundError(
                f"data.vocabulary={vocabulary} does not exist: "
                f"give {', '.join(MADE)}, or the JSON file of a tokenizer"
            )
        self.subset = None if subset is None else is_a(self, "subset", subset, str)
        self.text_column = is_a(self, "text_column", text_column, str)
        self.vocabulary_name = vocabulary
        self.vocabulary_size = whole(self, "vocabulary_size", vocabulary_size, 256)

    @abstractmethod
    def rows(self) -> "dict[str, Dataset]":
        """The rows of each split of the source."""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The map between text and ids; `chars` and `bpe` read the corpus and cache the result."""
        if self.vocabulary_name == "bytes":
            return Bytes()
        if self.vocabulary_name == "chars":
            from datasets import Features, Value

            options = {"column": self.text_column}
            features = Features(text=Value("string"))
            texts = self.rows().values()
            with decodable(self.path):
                found = [mapped(rows, characters, features, **options) for rows in texts]
            occurring = set().union(*(text for rows in found for text in rows["text"]))
            if not occurring:
                raise empty(self.path)
            return Chars("".join(sorted(occurring)))
        if self.vocabulary_name == "bpe":
            key, train = self._corpus()
            return Subwords(bpe_json(lambda: self._texts(train), key, self.vocabulary_size))
        return read_tokenizer(self.vocabulary_name)

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
        return (train._fingerprint, self.text_column), train

    def _texts(self, rows: Iterable[dict]) -> Iterator[str]:
        with decodable(self.path):
            for row in rows:
                yield row[self.text_column] or ""

    def _encoded(self, splits: "dict[str, Dataset]") -> "dict[str, Dataset]":
        """Token ids of each split, from the cache if it has them."""
        vocabulary = self.vocabulary
        with decodable(self.path):
            return {
                name: tokenised(rows, self.text_column, vocabulary) for name, rows in splits.items()
            }
