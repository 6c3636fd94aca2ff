"""What all data modules made of text share: the source and the vocabulary."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from datasets import Dataset, Features, Value

from lightning_posenc.data.module import StreamData, positive
from lightning_posenc.data.sources import decodable, empty
from lightning_posenc.data.tokenised import characters, mapped, tokenised
from lightning_posenc.data.tokenizer_training import bpe_json
from lightning_posenc.data.vocabulary import Bytes, Chars, Subwords, Vocabulary

MADE = ("bytes", "chars", "bpe")


class CorpusData(StreamData):
    """Batches of text from a file, Python's documentation, or the Hub.

    Args:
        path: where the text is; `sources.load_rows` says what it may be.
        subset: which of a Hub dataset's subsets.
        text_column: which column holds the text.
        vocabulary: `bytes` (256), `chars` (those that occur in the whole corpus, sorted), `bpe`
            (byte-level pieces, trained on the training split), or the path of a tokenizer's JSON
            file.
        vocabulary_size: number of pieces of `bpe`.
        train_length: T, tokens in a row.
        eval_lengths: lengths to test, in tokens; None for `train_length`.
        batch_size: rows in a training batch over all ranks.
        steps_per_epoch: training batches in an epoch, or None.
        eval_batch_size: rows in an evaluation batch over all ranks; None for `batch_size`.
        seed: seed of the order of the rows.
        num_workers: worker processes a loader.

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
        train_length: int,
        eval_lengths: list[int] | None,
        batch_size: int,
        steps_per_epoch: int | None,
        eval_batch_size: int | None,
        seed: int,
        num_workers: int,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, num_workers)
        if not path:
            raise ValueError("data.path is empty: give a file, python_docs, or a Hub dataset")
        if vocabulary not in MADE and not Path(vocabulary).expanduser().is_file():
            raise FileNotFoundError(
                f"data.vocabulary={vocabulary} does not exist: "
                f"give {', '.join(MADE)}, or the JSON file of a tokenizer"
            )
        self.path = path
        self.subset = subset
        self.text_column = text_column
        self.vocabulary_name = vocabulary
        self.vocabulary_size = positive("vocabulary_size", vocabulary_size)
        self.train_length = positive("train_length", train_length)
        self.eval_lengths = [train_length] if eval_lengths is None else list(eval_lengths)
        if not self.eval_lengths:
            raise ValueError("data.eval_lengths is empty: name at least one length, or null")
        for length in self.eval_lengths:
            positive("eval_lengths", length)
        if steps_per_epoch is not None:
            positive("steps_per_epoch", steps_per_epoch)
        self.steps_per_epoch = steps_per_epoch

    @abstractmethod
    def rows(self) -> dict[str, Dataset]:
        """The rows of each split of the source."""

    def __str__(self) -> str:
        # Lightning's would open all loaders, before there is a trainer, to tell their sizes.
        return f"{type(self).__name__}({self.path})"

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The map between text and ids; `chars` and `bpe` read the corpus and cache the result."""
        if self.vocabulary_name == "bytes":
            return Bytes()
        if self.vocabulary_name == "chars":
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
        json = Path(self.vocabulary_name).expanduser().read_bytes()
        try:
            vocabulary = Subwords(json.decode("utf-8"))
            _ = vocabulary.size
        except Exception as error:  # `tokenizers` raises bare Exceptions
            raise ValueError(
                f"data.vocabulary={self.vocabulary_name} is not a tokenizer's JSON file: {error}"
            ) from error
        return vocabulary

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

    def _encoded(self, splits: dict[str, Dataset]) -> dict[str, Dataset]:
        """Token ids of each split, from the cache if it has them."""
        vocabulary = self.vocabulary
        with decodable(self.path):
            return {
                name: tokenised(rows, self.text_column, vocabulary) for name, rows in splits.items()
            }
