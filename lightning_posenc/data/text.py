"""Text for language models: any file, Python's own documentation, or a dataset on the Hub."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset, Features, List, Value
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from lightning_posenc.data.module import StreamData, positive
from lightning_posenc.data.packing import Blocks
from lightning_posenc.data.sources import load_documents
from lightning_posenc.data.stream import ShuffledPasses
from lightning_posenc.data.vocabulary import Bytes, Chars, Subwords, Vocabulary

Rows = dict[str, list[Any]]


class Packed(NamedTuple):
    """Token ids of all documents, one after the other, and where each of them starts."""

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]


class TextData(StreamData):
    """Next-token prediction on text that is cut into blocks of one length.

    Documents follow each other with nothing between them; a tail that fills no block is dropped.
    Training goes through all blocks, pass after pass, each in an order of its own. Validation and
    test read the validation text in order, in blocks of `train_length` and of each of
    `eval_lengths`, less the last few blocks if the ranks cannot share them equally.

    If the source has a validation split, it is used. Otherwise a single document is cut at its
    character floor((1 - val_fraction) * n), and of several the last go to validation. Tokenised
    text is cached where the `datasets` library caches.

    Args:
        path: `python_docs` (ships with Python, one document a topic); a .txt (one document),
            .parquet, .json, .jsonl or .csv file (one document a row); or a dataset on the Hub.
        subset: which of a Hub dataset's subsets.
        text_column: which column holds the text.
        vocabulary: `bytes` (256), `chars` (those that occur in the whole corpus, sorted), or the
            path of a tokenizer's JSON file.
        train_length: T, tokens a block.
        eval_lengths: block lengths to test; None for `train_length`.
        separate_documents: whether batches say which document each token belongs to, so that
            attention need not cross into another; the step across is then not scored.
        val_fraction: share of the text for validation, between 0 and 1.
        batch_size: blocks in a training batch over all ranks; a multiple of their number.
        steps_per_epoch: training batches in an epoch; None for as many as one pass fills.
        eval_batch_size: blocks in an evaluation batch over all ranks; None for `batch_size`.
        seed: seed of the order of the blocks.
        num_workers: worker processes a loader.

    Raises:
        ValueError: if a number is out of range, or there is too little text.
        FileNotFoundError: if a file does not exist.
    """

    def __init__(
        self,
        path: str = "python_docs",
        subset: str | None = None,
        text_column: str = "text",
        vocabulary: str = "bytes",
        train_length: int = 128,
        eval_lengths: list[int] | None = None,
        separate_documents: bool = False,
        val_fraction: float = 0.1,
        batch_size: int = 32,
        steps_per_epoch: int | None = None,
        eval_batch_size: int | None = None,
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, num_workers)
        if not path:
            raise ValueError("data.path is empty: give a file, python_docs, or a Hub dataset")
        if not 0 < val_fraction < 1:
            raise ValueError(f"data.val_fraction must be between 0 and 1, not {val_fraction}")
        if vocabulary not in ("bytes", "chars") and not Path(vocabulary).expanduser().is_file():
            raise FileNotFoundError(
                f"data.vocabulary={vocabulary} does not exist: "
                "give bytes, chars, or the JSON file of a tokenizer"
            )
        self.path = path
        self.subset = subset
        self.text_column = text_column
        self.vocabulary_name = vocabulary
        self.train_length = positive("train_length", train_length)
        self.eval_lengths = [train_length] if eval_lengths is None else list(eval_lengths)
        if not self.eval_lengths:
            raise ValueError("data.eval_lengths is empty: name at least one length, or null")
        for length in self.eval_lengths:
            positive("eval_lengths", length)
        self.separate_documents = separate_documents
        self.val_fraction = val_fraction
        if steps_per_epoch is not None:
            positive("steps_per_epoch", steps_per_epoch)
        self.steps_per_epoch = steps_per_epoch
        self._packed: dict[str, Packed] = {}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The map between text and ids; `chars` reads the corpus, once, and caches the result."""
        if self.vocabulary_name == "bytes":
            return Bytes()
        if self.vocabulary_name == "chars":
            train, val = load_documents(self.path, self.subset, self.text_column)
            texts = [train] if val is None else [train, val]
            occurring = set().union(*map(self._characters, texts))
            if not occurring:
                raise self._empty()
            return Chars("".join(sorted(occurring)))
        json = Path(self.vocabulary_name).expanduser().read_text(encoding="utf-8")
        try:
            vocabulary = Subwords(json)
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

    def prepare_data(self) -> None:
        """Load and tokenise once a machine; the `datasets` library caches the result."""
        self._tokenised()

    def setup(self, stage: str | None = None) -> None:
        """Read the tokens from the cache.

        Raises:
            ValueError: if there is no text, or too little for one block.
        """
        if not self._packed:
            train, val = self._tokenised()
            self._packed = {"train": _pack(train), "val": _pack(val)}
        for split, length in (
            ("train", self.train_length),
            *(("val", length) for length in (self.train_length, *self.eval_lengths)),
        ):
            n = len(self._packed[split].tokens)
            if n <= length:
                raise ValueError(
                    f"data.path={self.path}: {n} tokens of {split} text are too few for one "
                    f"block of {length}: choose shorter blocks or give more text"
                )

    def train_dataloader(self) -> DataLoader:
        """The share of this rank in the stream of shuffled blocks."""
        blocks = self._blocks("train", self.train_length)
        n_batches = self.steps_per_epoch or max(1, len(blocks) // self.batch_size)
        return self._train_loader(blocks, n_batches, ShuffledPasses(len(blocks), self.seed))

    def val_dataloader(self) -> DataLoader:
        """All of the validation text in blocks of `train_length`."""
        blocks = self._blocks("val", self.train_length)
        return self._eval_loader(blocks, len(blocks))

    def test_dataloader(self) -> list[DataLoader]:
        """All of the validation text, one loader for each of `eval_lengths`."""
        tests = [self._blocks("val", length) for length in self.eval_lengths]
        return [self._eval_loader(blocks, len(blocks)) for blocks in tests]

    def predict_dataloader(self) -> DataLoader:
        """The validation text in blocks of the first of `eval_lengths`."""
        blocks = self._blocks("val", self.eval_lengths[0])
        return self._predict_loader(blocks, len(blocks))

    def _blocks(self, split: str, length: int) -> Blocks:
        return Blocks(*self._packed[split], length, self.separate_documents)

    def _characters(self, texts: Dataset) -> set[str]:
        rows = _map(texts, characters, Features(text=Value("string")), column=self.text_column)
        return set().union(*rows["text"])

    def _empty(self) -> ValueError:
        return ValueError(f"data.path={self.path} is empty: give a source with text in it")

    def _tokenised(self) -> tuple[Dataset, Dataset]:
        train, val = load_documents(self.path, self.subset, self.text_column)
        if val is None:
            train, val = self._split(train)
        options = {"column": self.text_column, "vocabulary": self.vocabulary}
        features = Features(ids=List(Value("int32")))
        return _map(train, encode, features, **options), _map(val, encode, features, **options)

    def _split(self, texts: Dataset) -> tuple[Dataset, Dataset]:
        share, n = 1 - self.val_fraction, len(texts)
        if n > 1:
            n_train = max(1, int(share * n))
            return texts.select(range(n_train)), texts.select(range(n_train, n))
        text = texts[0][self.text_column] if n else ""
        if not text:
            raise self._empty()
        cut, features = int(share * len(text)), texts.features
        options = {"column": self.text_column}
        return (
            _map(texts, piece, features, start=0, end=cut, **options),
            _map(texts, piece, features, start=cut, end=None, **options),
        )


# Functions of the module, not lambdas or methods: the cache is keyed on them.


def encode(rows: Rows, column: str, vocabulary: Vocabulary) -> Rows:
    """Token ids of each text; a missing text is an empty one."""
    return {"ids": [vocabulary.encode(text or "") for text in rows[column]]}


def piece(rows: Rows, column: str, start: int, end: int | None) -> Rows:
    """Characters start..end-1 of each text."""
    return {column: [(text or "")[start:end] for text in rows[column]]}


def characters(rows: Rows, column: str) -> Rows:
    """All characters that occur in these rows, in one string."""
    return {"text": ["".join(sorted(set().union(*(text or "" for text in rows[column]))))]}


def _map(
    texts: Dataset, function: Callable[..., Rows], features: Features, **kwargs: Any
) -> Dataset:
    return texts.map(
        function,
        batched=True,
        remove_columns=texts.column_names,
        features=features,
        fn_kwargs=kwargs,
    )


def _pack(rows: Dataset) -> Packed:
    """All ids in one array; a view of the memory-mapped cache if that holds one chunk."""
    lists = [c for c in rows.data.column("ids").chunks if len(c)]
    # `flatten` respects a slice's offset; `values` would not.
    parts = [chunk.flatten().to_numpy() for chunk in lists]
    all_sizes = [np.diff(chunk.offsets.to_numpy()) for chunk in lists]
    if not parts:
        return Packed(np.zeros(0, np.int32), np.zeros(0, np.int64))
    tokens = parts[0] if len(parts) == 1 else np.concatenate(parts)
    sizes = np.concatenate(all_sizes).astype(np.int64)
    starts = np.cumsum(sizes) - sizes
    return Packed(tokens, starts[sizes > 0])
