"""Output that nobody reads, or can keep, stops no command."""

import codecs
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_LOOKS_LIKE = {
    "·": "*", "…": "...", "−": "-", "–": "-", "—": "-", "→": "->", "←": "<-", "±": "+-", "×": "x",
    "≤": "<=", "≥": ">=", "∞": "inf", "⊙": "*", "‖": "|", "✔": "ok", "✖": "x", "▲": "^", "▼": "v",
    "λ": "lambda", "²": "^2", "³": "^3",
}  # fmt: skip


@contextmanager
def forgiving_output() -> Iterator[None]:
    """Within, what cannot be written to standard output or error is dropped.

    So `fit … | head` trains to its end, and a full device costs the words and not the results. What
    the terminal's encoding lacks is shown by what looks or sounds like it, or by an escape.
    """
    before = sys.stdout, sys.stderr
    nowhere = None
    if None in before:  # the shell closed it
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stdout, sys.stderr = (_Forgiving(stream or nowhere) for stream in before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
        if nowhere is not None:
            nowhere.close()


def written(text: str, encoding: str) -> str:
    """A text as a terminal of an encoding shows it."""
    return text.encode(encoding, _SPELT_OUT).decode(encoding)


def _spelt_out(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks: `θ` by `theta`, `é` by `e`, `…` by `...`."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(map(_in_ascii, lacking)), error.end


def _in_ascii(character: str) -> str:
    if found := _LOOKS_LIKE.get(character):
        return found
    name = unicodedata.name(character, "")
    if name.startswith("GREEK "):  # GREEK SMALL LETTER THETA
        letter = name.split()[-1]
        return letter.lower() if "SMALL" in name else letter.capitalize()
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return bare or character.encode("ascii", "backslashreplace").decode()


_SPELT_OUT = "lightning_posenc.spelt_out"
codecs.register_error(_SPELT_OUT, _spelt_out)


class _Forgiving:
    """A stream that says of every text that it was written."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_SPELT_OUT)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except (OSError, ValueError):  # broken, full, or closed
            self._give_up()
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self) -> None:
        """Lead the stream's file away, so that what is left in its buffers goes somewhere."""
        with suppress(OSError, ValueError):
            number = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
