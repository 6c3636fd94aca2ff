"""Sentences in CoNLL's columns, one word a line, and an empty line between sentences."""

import re
from collections.abc import Iterator
from pathlib import Path

from lightning_posenc.data.text.files import opened
from lightning_posenc.data.text.reading import decodable

Sentence = list[tuple[str, str | None]]  # words and their tags; None where there is none
_START = "-DOCSTART-"
_BLANKS = re.compile(r"[ \t]+")  # a no-break space is part of a word
_MULTIWORD_OR_EMPTY = re.compile(r"\d+[-.]\d+")  # CoNLL-U's 1-2 and 1.1: no words of the sentence


class Columns:
    """Which columns of a file hold words and tags.

    Where the first line of a word holds a tab, tabs part the columns, and words may hold spaces;
    elsewhere spaces do, and all lines have equally many columns.

    Args:
        file: what errors name.
        token_column: which column holds the word, from 0; from the end if negative.
        tag_column: which column holds the tag; one that is not there, or the same one, is refused
            unless `untagged`.
        untagged: whether tags are not asked for.
    """

    def __init__(self, file: Path, token_column: int, tag_column: int, untagged: bool) -> None:
        self.file = file
        self.token_column = token_column
        self.tag_column = tag_column
        self.untagged = untagged
        self.tabs: bool | None = None  # not known before the first word
        self.n_columns = 0

    def split(self, line: str) -> list[str]:
        """The columns of a line."""
        if self.tabs is None and "\t" in line.strip() and not line.startswith("#"):
            return line.split("\t")
        if self.tabs:
            return line.split("\t")
        return _BLANKS.split(line.strip(" \t"))

    def is_comment(self, line: str, within_sentence: bool) -> bool:
        """Whether a line is CoNLL-U's `# …`; "#" is a word too, with as many columns as others."""
        if not line.startswith("#"):
            return False
        if self.tabs is None:
            # Of the file's first lines: a word's line has a tab, or a tag and little else.
            return "\t" not in line and (line == "#" or len(line.split()) > 3 or " = " in line)
        if self.tabs:
            return len(line.split("\t")) != self.n_columns
        return not within_sentence and len(self.split(line)) != self.n_columns

    def read(self, line: str, n: int) -> tuple[str, str | None] | None:
        """The word of a line and its tag; None if the line is that of no word.

        Raises:
            ValueError: if a column is missing, or there are more than elsewhere.
        """
        columns = self.split(line)
        if self.tabs is None:
            self.tabs, self.n_columns = "\t" in line.strip(), len(columns)
        n_columns = len(columns)
        if not self.tabs and n_columns > self.n_columns:
            raise ValueError(
                f"{self.file}, line {n}: has {n_columns} columns, the lines before it "
                f"{self.n_columns}: part the columns by tabs where words hold spaces"
            )
        numbered = self.tabs and self.token_column % n_columns > 0
        if numbered and _MULTIWORD_OR_EMPTY.fullmatch(columns[0]):
            return None
        try:
            word = columns[self.token_column]
            if self.untagged:
                return word, None
            tag = columns[self.tag_column]
        except IndexError:
            raise ValueError(
                f"{self.file}, line {n}: has {n_columns} column(s), so there is no column "
                f"{self.token_column} with a word and {self.tag_column} with its tag: mend the "
                "line or set data.token_column and data.tag_column (from 0, or negative from the "
                "end)"
            ) from None
        if n_columns == 1:
            raise ValueError(
                f"{self.file}, line {n}: has one column, the word {word!r} without a tag: "
                "mend the line, or give a file with a word and its tag a line"
            )
        if self.token_column % n_columns == self.tag_column % n_columns:
            raise ValueError(
                f"{self.file}, line {n}: data.token_column={self.token_column} and "
                f"data.tag_column={self.tag_column} are the same column: name two"
            )
        if not tag:
            raise ValueError(f"{self.file}, line {n}: the word {word!r} has no tag: mend the line")
        return word, tag


def read_sentences(
    file: Path, token_column: int, tag_column: int, untagged: bool = False
) -> Iterator[Sentence]:
    """The sentences of a file, words and tags.

    Passed over are CoNLL-U's comments, multiword ranges and empty nodes, and -DOCSTART-.

    Args:
        file: one word a line; compressed or not.
        token_column: which column holds the word, from 0; from the end if negative.
        tag_column: which column holds its tag.
        untagged: whether tags are not asked for; all are then None.

    Raises:
        ValueError: if the file is not UTF-8, or a line lacks a column; the error names the line.
    """
    columns = Columns(file, token_column, tag_column, untagged)
    sentence: Sentence = []
    with decodable(str(file)), opened(file) as lines:
        for n, ended in enumerate(lines, start=1):
            line = ended.rstrip("\r\n")
            if columns.is_comment(line, bool(sentence)):
                continue
            # Most lines hold neither: looking is quicker than splitting.
            starts = _START in line and line.split(maxsplit=1)[0] == _START
            if starts or not line.strip(" \t"):
                if sentence:
                    yield sentence
                sentence = []
                continue
            if (read := columns.read(line, n)) is not None:
                sentence.append(read)
    if sentence:
        yield sentence
