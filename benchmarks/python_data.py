"""Makes two labelled data sets of the code of the Python that runs it: no network, no download.

    python benchmarks/python_data.py OUT

- OUT/lines/train.csv and validation.csv: lines of code that began with a keyword, without it. Which
  one was it? For `configs/text_classification.yaml`.
- OUT/names/train.conll and validation.conll: functions, a word of code a line, and what each name
  is there: a parameter, a local or a global variable, an attribute, … For `configs/tagging.yaml`.

Of the standard library's modules, but for its tests, one in ten is for validation; what occurs in
training as well is left out of it, so that nothing is won by heart.
"""

import argparse
import ast
import builtins
import csv
import hashlib
import io
import sysconfig
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LEFT_OUT = {"dist-packages", "idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}
LONGEST = 64  # words of a function
NO_NAME = "-"
Word = tuple[str, str]  # of code, and what it is

STATEMENTS = {"assert", "class", "def", "del", "elif", "except", "for", "from", "if", "import",
              "raise", "return", "while", "with", "yield"}  # fmt: skip
NO_WORDS = {tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE,
           tokenize.ENCODING, tokenize.ENDMARKER}  # fmt: skip
PLAIN = {tokenize.STRING: '""', tokenize.NUMBER: "0"}
# Later Pythons read f-strings and t-strings in parts: they begin, and their text is left out.
for _kind in ("FSTRING", "TSTRING"):
    if hasattr(tokenize, f"{_kind}_START"):
        PLAIN[getattr(tokenize, f"{_kind}_START")] = '""'
        NO_WORDS |= {getattr(tokenize, f"{_kind}_{part}") for part in ("MIDDLE", "END")}


def modules(root: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each of the library's modules, by name."""
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root)
        if not LEFT_OUT & set(name.parts):
            yield name.as_posix(), file.read_text("utf-8")


def is_held_out(name: str) -> bool:
    """Whether a module is for validation: every tenth, for any order and any other modules."""
    return hashlib.sha256(name.encode()).digest()[0] % 10 == 0


def tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(text).readline)


def lines(text: str) -> Iterator[Word]:
    """What stands behind the keyword that a line begins with, and that keyword."""
    starts = True
    for token in tokens(text):
        if starts and token.type == tokenize.NAME and token.string in STATEMENTS:
            rest = token.line.splitlines()[0][token.end[1] :].strip()
            if rest not in ("", ":"):
                yield rest, token.string
        passed_over = token.type in (tokenize.NL, tokenize.COMMENT)
        starts = starts if passed_over else token.type in NO_WORDS


class Names(ast.NodeVisitor):
    """What each name of a function is, by the line and column at which it stands.

    Args:
        function: the function; those within it belong to it.
    """

    def __init__(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        found = list(ast.walk(function))
        self.parameters = {node.arg for node in found if isinstance(node, ast.arg)}
        shared = {name for node in found if isinstance(node, ast.Global) for name in node.names}
        self.locals = {
            node.id
            for node in found
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        } - shared
        self.at: dict[tuple[int, int], str] = {}
        self.visit(function)

    def visit_Name(self, node: ast.Name) -> None:
        self.at[node.lineno, node.col_offset] = (
            "parameter" if node.id in self.parameters
            else "local" if node.id in self.locals
            else "builtin" if hasattr(builtins, node.id)
            else "global"
        )  # fmt: skip

    def visit_arg(self, node: ast.arg) -> None:
        self.at[node.lineno, node.col_offset] = "parameter"
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg:
            self.at[node.lineno, node.col_offset] = "argument"
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        self.at[node.end_lineno, node.end_col_offset - len(node.attr)] = "attribute"
        self.generic_visit(node)


def outermost(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions within a node that stand in no other function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from outermost(child)


def functions(text: str) -> Iterator[list[Word]]:
    """Functions and methods that stand in no other, word by word.

    Strings and numbers are all alike, for what they say is no name; so are comments and layout left
    out. What is no name, or one that is made there (behind `def`, `import`, `as`), is `-`.
    """
    code = text.split("\n")
    words_at: dict[int, list[tokenize.TokenInfo]] = defaultdict(list)
    for token in tokens(text):
        if token.type not in NO_WORDS:
            words_at[token.start[0]].append(token)
    for function in outermost(ast.parse(text)):
        assert function.end_lineno is not None
        at = Names(function).at
        words = []
        for line in range(function.lineno, function.end_lineno + 1):
            for token in words_at[line]:
                # ast counts the bytes of a line, tokenize its characters.
                column = len(code[line - 1][: token.start[1]].encode())
                word = PLAIN.get(token.type, token.string)
                words.append((word, at.get((line, column), NO_NAME)))
        yield words


def split(samples: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    """Different samples for training, and for validation those that do not occur there.

    Args:
        samples: name of a module, and something of it.
    """
    found: dict[bool, dict[Any, None]] = {False: {}, True: {}}  # a dict keeps the order
    for name, sample in samples:
        found[is_held_out(name)][sample] = None
    return {
        "train": list(found[False]),
        "validation": [sample for sample in found[True] if sample not in found[False]],
    }


def write(out: Path, root: Path) -> None:
    """Write both sets."""
    read = list(modules(root))
    for part, found in split((name, line) for name, text in read for line in lines(text)).items():
        file = out / "lines" / f"{part}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", encoding="utf-8", newline="") as opened:
            csv.writer(opened).writerows([("text", "label"), *found])
        print(f"{file}: {len(found):,} lines")
    code = ((name, tuple(words)) for name, text in read for words in functions(text))
    fit = ((name, words) for name, words in code if len(words) <= LONGEST)
    for part, found in split(fit).items():
        file = out / "names" / f"{part}.conll"
        file.parent.mkdir(parents=True, exist_ok=True)
        sentences = ["".join(f"{word}\t{kind}\n" for word, kind in words) for words in found]
        file.write_text("\n".join(sentences), "utf-8")
        print(f"{file}: {len(found):,} functions, {sum(map(len, found)):,} words")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write to")
    write(parser.parse_args().out, Path(sysconfig.get_path("stdlib")))


if __name__ == "__main__":
    main()
