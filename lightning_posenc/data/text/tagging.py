"""A tag for every word: sentences in CoNLL's columns, one word a line."""

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_posenc.checks import is_a, whole, wrong
from lightning_posenc.data.buckets import InBuckets
from lightning_posenc.data.meaning import listed, same_place
from lightning_posenc.data.text.conll import Sentence, read_sentences
from lightning_posenc.data.text.files import empty
from lightning_posenc.data.text.tagged_sentences import Encoded, TaggedSentences
from lightning_posenc.data.text.vocabulary import (
    Subwords,
    Vocabulary,
    read_tokenizer,
    vocabulary_of,
)
from lightning_posenc.tasks import IGNORE

UNKNOWN = 0
WORDS = "words"
MOST_COLUMNS = 1000  # of a line


class TaggingData(InBuckets):
    """A class for every word of a sentence, such as its part of speech or the entity it belongs to.

    A file holds a word a line with columns apart by tabs, or else by spaces, and an empty line
    between sentences; passed over are -DOCSTART- and CoNLL-U's comments, multiword ranges and empty
    nodes. It is read into memory whole, compressed (.gz) or not.
    Training goes through all sentences, pass after pass, each in an order of its own. Without files
    of their own, validation has `val_fraction` of the training sentences, drawn once and for any
    seed, and the test has what validation has, cut to each of `eval_lengths`.

    With a checkpoint, words and tags are the checkpoint's, by name: of another file all words whose
    tag the model knows are tested, and a prediction needs no tags.

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
        options: those of `FixedData`, and `bucket`. A batch is padded to its longest sentence.

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
        **options: Any,
    ) -> None:
        is_a(self, "path", path, str | Path | None)
        if not path:
            raise ValueError("data.path is empty: give a file with a word and its tag a line")
        super().__init__(str(Path(path).expanduser()), **options)
        is_a(self, "vocabulary", vocabulary, str)
        files = {"path": path, "val_path": val_path, "test_path": test_path}
        for option, given in files.items():
            is_a(self, option, given, str | Path | None)
        self.paths = {name: Path(file).expanduser() for name, file in files.items() if file}
        self.columns = (
            whole(self, "token_column", token_column, -MOST_COLUMNS, MOST_COLUMNS),
            whole(self, "tag_column", tag_column, -MOST_COLUMNS, MOST_COLUMNS),
        )
        if token_column == tag_column:
            raise wrong(self, "tag_column", tag_column, "be another column than token_column")
        self.vocabulary_name = vocabulary
        self.min_count = whole(self, "min_count", min_count)
        self._new_files: set[str] = set()  # those that a checkpoint did not have
        self._files: dict[tuple[str, bool], list[Sentence]] = {}
        self._encoded: dict[tuple[str, bool], tuple[list[Encoded], Counter[str]]] = {}

    def options(self) -> dict[str, Any]:
        return {
            "val_path": str(self.paths["val_path"]) if "val_path" in self.paths else None,
            "test_path": str(self.paths["test_path"]) if "test_path" in self.paths else None,
            "token_column": self.columns[0],
            "tag_column": self.columns[1],
            "vocabulary": self.vocabulary_name,
            "min_count": self.min_count,
            **super().options(),
        }

    def meaning(self) -> dict[str, Any]:
        known = self._pieces.state() if self._pieces else None
        return {
            "tags": self.class_names,
            "words": None if known else list(self._words),
            "vocabulary": known,
        }

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Call words and tags as the other does.

        Raises:
            ValueError: if another vocabulary is asked for.
        """
        super().take_over(meaning, options)
        theirs = vocabulary_of(meaning["vocabulary"]) if meaning["vocabulary"] else None
        if self.vocabulary_name != options["vocabulary"] and not self._is_tokenizer(theirs):
            raise ValueError(
                f"data.vocabulary={self.vocabulary_name}: the checkpoint was trained with "
                f"{options['vocabulary']}, whose tokens its weights know: give that, or leave "
                "data.vocabulary out"
            )
        self.__dict__["class_names"] = list(meaning["tags"])
        self.__dict__["_pieces"] = theirs
        if theirs is None:
            self.__dict__["_words"] = _numbered(meaning["words"])
        self._new_files = {
            name
            for name, file in self.paths.items()
            if not same_place(str(file), str(options[name]))
        }
        self._encoded = {}

    def _is_tokenizer(self, vocabulary: Vocabulary | None) -> bool:
        """Whether a vocabulary is that of the file that was asked for."""
        file = Path(self.vocabulary_name).expanduser()
        return file.is_file() and read_tokenizer(file) == vocabulary

    @cached_property
    def class_names(self) -> list[str]:
        """All tags, sorted: those of validation and test, too; or the checkpoint's."""
        sentences = (s for name in self.paths for s in self._sentences(name))
        return sorted({tag for sentence in sentences for _, tag in sentence if tag is not None})

    @property
    def n_classes(self) -> int:
        """Number of different tags."""
        return len(self.class_names)

    @property
    def vocab_size(self) -> int:
        """Number of different tokens, the unknown word included."""
        return self._pieces.size if self._pieces else 1 + len(self._words)

    def setup(self, stage: str | None = None) -> None:
        """Read and encode the files.

        Raises:
            ValueError: if there are too few sentences, or no word of them has a tag that is known.
        """
        for split in _READ.get(stage or "", ("train", "val", "test")):
            self._items(split)
        self._say_what_is_read(stage)

    def predicted(self, row: int, classes: Any, probabilities: Any) -> dict[str, Any]:
        """One tag for each word; None for a word beyond the length."""
        name, _ = self._source("predict")
        words = [word for word, _ in self._sentences(name, untagged=self._adopted is not None)[row]]
        if not isinstance(classes, list):
            return super().predicted(row, classes, probabilities)
        return self.tagged(words, classes, probabilities)

    def tagged(
        self, words: list[str], classes: list[int], probabilities: list[float] | None
    ) -> dict[str, Any]:
        """The words of a sentence and their tags, from those of its tokens that were read."""
        places = self._first_pieces(words)
        read = [None if p is None or p >= len(classes) else p for p in places]
        names = [None if p is None else self.class_names[classes[p]] for p in read]
        line: dict[str, Any] = {"words": words, "prediction": names}
        if probabilities is not None:
            line["probabilities"] = [None if p is None else probabilities[p] for p in read]
        return line

    def tokens_of(self, words: list[str]) -> tuple[list[int], list[int]]:
        """Ids of a sentence's tokens, and of which word each is a piece."""
        if self._pieces is not None:
            return self._pieces.encode_words(words)
        return [self._words.get(word, UNKNOWN) for word in words], list(range(len(words)))

    def _dataset(self, split: str, length: int) -> TaggedSentences:
        return TaggedSentences(self._items(split), length)

    def _source(self, split: str) -> tuple[str, str]:
        """The file that a split reads, and what of it: all, the rest, or what is held out."""
        if split == "train":
            return "path", "all" if "val_path" in self.paths else "rest"
        wanted = {"val": ["val_path"], "test": ["test_path", "val_path"], "predict": ["test_path"]}
        for name in wanted[split]:
            if name in self.paths and (name in self._new_files or not self._evaluates_other):
                return name, "all"
        if split == "predict" or self._evaluates_other:
            return "path", "all"
        return "path", "held out"

    def _items(self, split: str) -> list[Encoded]:
        name, part = self._source(split)
        encoded, unknown = self._encode_file(name, split == "predict" and self._adopted is not None)
        if part != "all":
            if len(encoded) < 2:
                raise ValueError(f"data.path={self.path} has one sentence: give more")
            rest, held = self._held_out(len(encoded))
            return [encoded[n] for n in (rest if part == "rest" else held).tolist()]
        if unknown and not any(target != IGNORE for items in encoded for _, target in items):
            raise ValueError(
                f"data.{name}={self.paths[name]}: the checkpoint knows none of its tags: it has "
                f"{listed(unknown)}, the checkpoint {listed(self.class_names)}"
            )
        return encoded

    def _extent(self, split: str) -> str:
        name, part = self._source(split)
        untagged = split == "predict" and self._adopted is not None
        unknown = self._encode_file(name, untagged)[1]
        n = f"{len(self._items(split)):,} sentences of {self.paths[name]}"
        if part != "all":
            return f"the {n} that training left out"
        if not unknown:
            return f"all {n}"
        total = sum(unknown.values())
        return f"all {n}; not scored: {total:,} words with tags that the model does not know, " + (
            listed(unknown)
        )

    def _sentences(self, name: str, untagged: bool = False) -> list[Sentence]:
        """The sentences of a file, read once."""
        key = (name, untagged)
        if key not in self._files:
            file = self.paths[name]
            if not file.is_file():  # asked now, since a model that only predicts needs none
                raise FileNotFoundError(f"data.{name}={file} does not exist: give a file")
            self._files[key] = list(read_sentences(file, *self.columns, untagged))
            if not self._files[key]:
                raise empty(str(file))
        return self._files[key]

    @cached_property
    def _words(self) -> dict[str, int]:
        """Number of each known word, from 1."""
        counts = Counter(word for sentence in self._sentences("path") for word, _ in sentence)
        return _numbered(sorted(word for word, n in counts.items() if n >= self.min_count))

    @cached_property
    def _pieces(self) -> Subwords | None:
        if self.vocabulary_name == WORDS:
            return None
        file = Path(self.vocabulary_name).expanduser()
        if not file.is_file():
            raise FileNotFoundError(f"data.vocabulary={file} does not exist: give a file")
        return read_tokenizer(file)

    def _encode_file(self, name: str, untagged: bool) -> tuple[list[Encoded], Counter[str]]:
        """The sentences of a file, and how many words have which tag that is not known."""
        key = (name, untagged)
        if key not in self._encoded:
            number = {tag: n for n, tag in enumerate(self.class_names)}
            sentences = self._sentences(name, untagged)
            tags = Counter(tag for sentence in sentences for _, tag in sentence if tag is not None)
            unknown = Counter({tag: n for tag, n in tags.items() if tag not in number})
            self._encoded[key] = [self._encode(s, number) for s in sentences], unknown
        return self._encoded[key]

    def _encode(self, sentence: Sentence, number: dict[str, int]) -> Encoded:
        targets = [IGNORE if tag is None else number.get(tag, IGNORE) for _, tag in sentence]
        ids, words = self.tokens_of([word for word, _ in sentence])
        return [
            (token, targets[word] if n == 0 or words[n - 1] != word else IGNORE)
            for n, (token, word) in enumerate(zip(ids, words, strict=True))
        ] or [(UNKNOWN, IGNORE)]

    def _first_pieces(self, words: list[str]) -> list[int | None]:
        """Which token stands for each word; None if it has none."""
        first: dict[int, int] = {}
        for place, word in enumerate(self.tokens_of(words)[1]):
            first.setdefault(word, place)
        return [first.get(word) for word in range(len(words))]


# Which splits a stage reads.
_READ = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
}


def _numbered(words: list[str]) -> dict[str, int]:
    return {word: n for n, word in enumerate(words, start=UNKNOWN + 1)}
