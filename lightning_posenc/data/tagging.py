"""A tag for every word: sentences in CoNLL's columns, one word a line."""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import torch

from lightning_posenc.checks import is_a, whole, wrong
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.finite import FiniteData, FiniteDataset
from lightning_posenc.data.sources import decodable, empty
from lightning_posenc.data.vocabulary import Subwords, read_tokenizer
from lightning_posenc.tasks import IGNORE

Sentence = list[tuple[str, str]]  # words and their tags
Encoded = list[tuple[int, int]]  # token ids and their targets
UNKNOWN = 0

MOST_COLUMNS = 1000  # of a line


class TaggedSentences(FiniteDataset):
    """Sentences of at most T tokens, padded to T with token 0 and targets that are not scored.

    Args:
        sentences: ids and targets of each.
        length: T; of a longer sentence the first T tokens are kept.
    """

    def __init__(self, sentences: list[Encoded], length: int) -> None:
        self.sentences = sentences
        self.length = length

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitems__(self, indices: list[int]) -> Batch:
        chosen = [self.sentences[index][: self.length] for index in indices]
        tokens = torch.zeros(len(chosen), self.length, dtype=torch.int64)
        targets = torch.full_like(tokens, IGNORE)
        for row, sentence in enumerate(chosen):
            pairs = torch.tensor(sentence)
            tokens[row, : len(pairs)], targets[row, : len(pairs)] = pairs.unbind(1)
        return Batch(tokens, targets, lengths=torch.tensor([len(sentence) for sentence in chosen]))


class TaggingData(FiniteData):
    """A class for every word of a sentence, such as its part of speech or the entity it belongs to.

    A file holds a word a line with columns apart by white space, and an empty line between
    sentences; lines that start with -DOCSTART- are passed over. It is read into memory whole.
    Training goes through all sentences, pass after pass, each in an order of its own. Without files
    of their own, validation has `val_fraction` of the training sentences, drawn once and for any
    seed, and the test has what validation has, cut to each of `eval_lengths`.

    Args:
        path: file of the training sentences.
        val_path: file of the validation sentences, or None.
        test_path: file of the test sentences, or None.
        token_column: which column holds the word, from 0; from the end if negative.
        tag_column: which column holds the tag.
        vocabulary: `words`, those of the training file; or the path of a tokenizer's JSON file:
            then the first piece of each word bears its tag, and the others are not scored.
        min_count: a word that is rarer than this in the training file is unknown (id 0), as are
            all words that are not in it, so that the unknown word is learned.
        train_length: T, tokens a sentence is cut or padded to.
        eval_lengths: lengths to cut the sentences of the test to; None for `train_length`.
        val_fraction: share of the training sentences for validation, between 0 and 1.
        batch_size: sentences in a training batch over all ranks; a multiple of their number.
        steps_per_epoch: training batches in an epoch; None for as many as one pass fills.
        eval_batch_size: sentences in an evaluation batch over all ranks; None for `batch_size`.
        seed: seed of the order of the sentences; None for the run's own.
        num_workers: worker processes a loader.

    Raises:
        ValueError: if a number is out of range, or a file is not of this form.
        FileNotFoundError: if a file does not exist.
    """

    def __init__(
        self,
        path: str | None = None,
        val_path: str | None = None,
        test_path: str | None = None,
        token_column: int = 0,
        tag_column: int = -1,
        vocabulary: str = "words",
        min_count: int = 2,
        train_length: int = 128,
        eval_lengths: list[int] | None = None,
        val_fraction: float = 0.1,
        batch_size: int = 32,
        steps_per_epoch: int | None = None,
        eval_batch_size: int | None = None,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        is_a(self, "path", path, str | Path | None)
        if not path:
            raise ValueError("data.path is empty: give a file with a word and its tag a line")
        super().__init__(
            str(Path(path).expanduser()),
            train_length=train_length,
            eval_lengths=eval_lengths,
            val_fraction=val_fraction,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            eval_batch_size=eval_batch_size,
            seed=seed,
            num_workers=num_workers,
        )
        is_a(self, "vocabulary", vocabulary, str)
        files = {"path": path, "val_path": val_path, "test_path": test_path}
        for option, given in files.items():
            is_a(self, option, given, str | Path | None)
        self.paths = {name: Path(file).expanduser() for name, file in files.items() if file}
        if vocabulary != "words":
            self.paths["vocabulary"] = Path(vocabulary).expanduser()
        for name, file in self.paths.items():
            if not file.is_file():
                raise FileNotFoundError(f"data.{name}={file} does not exist: give a file")
        self.columns = (
            whole(self, "token_column", token_column, -MOST_COLUMNS, MOST_COLUMNS),
            whole(self, "tag_column", tag_column, -MOST_COLUMNS, MOST_COLUMNS),
        )
        if token_column == tag_column:
            raise wrong(self, "tag_column", tag_column, "be another column than token_column")
        self.min_count = whole(self, "min_count", min_count)
        self._encoded: dict[str, list[Encoded]] = {}

    @cached_property
    def class_names(self) -> list[str]:
        """All tags, sorted: those of validation and test, too."""
        return sorted({tag for file in self._sentences.values() for s in file for _, tag in s})

    @property
    def n_classes(self) -> int:
        """Number of different tags."""
        return len(self.class_names)

    @property
    def vocab_size(self) -> int:
        """Number of different tokens, the unknown word included."""
        return self._subwords.size if self._subwords else 1 + len(self._words)

    def setup(self, stage: str | None = None) -> None:
        """Read and encode the files."""
        if self._encoded:
            return
        number = {tag: n for n, tag in enumerate(self.class_names)}
        splits = {
            name.removesuffix("path").removesuffix("_"): [self._encode(s, number) for s in found]
            for name, found in self._sentences.items()
        }
        train = splits.pop("")
        if "val" not in splits:
            if len(train) < 2:
                raise ValueError(f"data.path={self.path} has one sentence: give more")
            rest, val = self._held_out(len(train))
            splits["val"] = [train[n] for n in val.tolist()]
            train = [train[n] for n in rest.tolist()]
        self._encoded = {"train": train, "test": splits["val"], **splits}

    def _dataset(self, split: str, length: int) -> TaggedSentences:
        return TaggedSentences(self._encoded[split], length)

    @cached_property
    def _sentences(self) -> dict[str, list[Sentence]]:
        files = {name: file for name, file in self.paths.items() if name != "vocabulary"}
        found = {name: list(read_sentences(file, *self.columns)) for name, file in files.items()}
        for name, sentences in found.items():
            if not sentences:
                raise empty(str(files[name]))
        return found

    @cached_property
    def _words(self) -> dict[str, int]:
        """Number of each known word, from 1."""
        counts = Counter(word for sentence in self._sentences["path"] for word, _ in sentence)
        known = sorted(word for word, n in counts.items() if n >= self.min_count)
        return {word: n for n, word in enumerate(known, start=UNKNOWN + 1)}

    @cached_property
    def _subwords(self) -> Subwords | None:
        file = self.paths.get("vocabulary")
        return read_tokenizer(file) if file else None

    def _encode(self, sentence: Sentence, number: dict[str, int]) -> Encoded:
        if self._subwords is None:
            return [(self._words.get(word, UNKNOWN), number[tag]) for word, tag in sentence]
        ids, words = self._subwords.encode_words([word for word, _ in sentence])
        firsts = [n == 0 or words[n] != words[n - 1] for n in range(len(words))]
        return [
            (token, number[sentence[word][1]] if first else IGNORE)
            for token, word, first in zip(ids, words, firsts, strict=True)
        ] or [(UNKNOWN, IGNORE)]


def read_sentences(file: Path, token_column: int, tag_column: int) -> Iterator[Sentence]:
    """The sentences of a file, words and tags.

    Raises:
        ValueError: if the file is not UTF-8, or a line lacks a column; the error names the line.
    """
    sentence: Sentence = []
    with decodable(str(file)), file.open(encoding="utf-8") as lines:
        for n, line in enumerate(lines, start=1):
            columns = line.split()
            if not columns or columns[0] == "-DOCSTART-":
                if sentence:
                    yield sentence
                sentence = []
                continue
            try:
                sentence.append((columns[token_column], columns[tag_column]))
            except IndexError:
                raise ValueError(
                    f"{file}, line {n}: has {len(columns)} column(s), so there is no column "
                    f"{token_column} with a word and {tag_column} with its tag: mend the line or "
                    "set data.token_column and data.tag_column (from 0, or negative from the end)"
                ) from None
            if len(columns) == 1:
                raise ValueError(
                    f"{file}, line {n}: has one column, the word {columns[0]!r} without a tag: "
                    "mend the line, or give a file with a word and its tag a line"
                )
    if sentence:
        yield sentence
