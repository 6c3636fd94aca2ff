"""What the header of a GGUF file says, read within bounds: the file may be anybody's.

Format: https://github.com/ggml-org/gguf, version 2 and 3, little endian. Weights are not touched.
"""

import mmap
import struct
from pathlib import Path
from typing import Any, NamedTuple

_MAGIC = b"GGUF"
_SCALARS = {  # by the number of the type
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_MOST_DIMS = 8
_LEAST_BYTES = 12  # of an entry, by which a file bounds how many it can hold


class GGUFHeader(NamedTuple):
    """What a GGUF file says of itself.

    Args:
        values: Numbers and texts by their key; arrays are left out.
        shapes: Of the weights, by name.
    """

    values: dict[str, Any]
    shapes: dict[str, list[int]]


def gguf_header(path: Path) -> GGUFHeader:
    """Read the header of a GGUF file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no whole header of a known version.
    """
    with path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data).header()
        except (struct.error, ValueError, IndexError, OverflowError) as error:
            reason = f" ({error})" if isinstance(error, ValueError) else ""
            raise ValueError(f"{path.name}: no whole GGUF file{reason}") from None


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def header(self) -> GGUFHeader:
        if self.data[:4] != _MAGIC:
            raise ValueError("it does not begin with GGUF")
        self.at = 4
        if (version := self.one("I")) not in (2, 3):
            raise ValueError(f"version {version}")
        n_weights, n_values = self.count(), self.count()
        values = {}
        for _ in range(n_values):
            key = self.text()
            value = self.value(self.one("I"))
            if value is not None:
                values[key] = value
        shapes = {}
        for _ in range(n_weights):
            name = self.text()
            if (n_dims := self.one("I")) > _MOST_DIMS:
                raise ValueError(f"{n_dims} axes of a weight")
            shapes[name] = [self.one("Q") for _ in range(n_dims)]
            self.skip(12)  # type, and place in the file
        return GGUFHeader(values, shapes)

    def one(self, kind: str) -> Any:
        (value,) = struct.unpack_from(f"<{kind}", self.data, self.at)
        self.at += struct.calcsize(f"<{kind}")
        return value

    def skip(self, n_bytes: int) -> None:
        self.at += n_bytes
        if self.at > len(self.data):
            raise ValueError("it ends early")

    def count(self) -> int:
        n = self.one("Q")
        if n * _LEAST_BYTES > len(self.data):
            raise ValueError(f"it is too short for {n:,} entries")
        return n

    def text(self) -> str:
        start = self.at + 8
        self.skip(8 + self.one_ahead())
        return self.data[start : self.at].decode("utf-8", "replace")

    def one_ahead(self) -> int:
        (n,) = struct.unpack_from("<Q", self.data, self.at)
        return n

    def value(self, kind: int) -> Any:
        """A number or text; an array is passed over, and None."""
        if kind in _SCALARS:
            return self.one(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            raise ValueError(f"a value of type {kind}")
        kind, n = self.one("I"), self.one("Q")
        if kind in _SCALARS:
            self.skip(n * struct.calcsize(f"<{_SCALARS[kind]}"))
        elif kind == _STRING:
            for _ in range(n):  # each takes at least 8 bytes, so the file's end ends it
                self.skip(8 + self.one_ahead())
        else:
            raise ValueError("an array of arrays")
        return None
