"""A Hugging Face folder, which anybody may have made: what it holds, before any of it is loaded.

Nothing in it is run. Of weights only safetensors and GGUF are read. What the config says of sizes
is compared with what the files hold before memory is taken for it.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lightning_posenc.checks import MOST
from lightning_posenc.runs.gguf_header import gguf_header
from lightning_posenc.runs.untrusted import read_json

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_INDEX = f"{WEIGHTS}.index.json"
_ADAPTER = "adapter_config.json"
_LAYERS = ("layer", "layers", "depth", "depths")  # how the keys end that count blocks
_LENGTHS = ("max_position_embeddings", "max_seq_len", "n_positions", "n_ctx", "seq_length")
_SPARE = 1 << 24  # numbers in buffers that a model of any size may make


class Refused(ValueError):
    """What is wrong with a source, said in one line that follows its name."""


class Contents(NamedTuple):
    """What a folder holds.

    Args:
        path: The folder.
        gguf_file: The name of the file in it that is read; None for safetensors.
        written: `config.json` as it stands there, or the values in the header of a GGUF file.
        shapes: Of all weights, by name.
    """

    path: Path
    gguf_file: str | None
    written: Mapping[str, Any]
    shapes: Mapping[str, list[int]]

    @property
    def held(self) -> int:
        """How many numbers the files hold."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def look_into(path: Path, gguf_file: str | None = None) -> Contents:
    """See what a folder holds.

    Args:
        path: The folder.
        gguf_file: A file in it to read instead of safetensors; found if it is the only weights.

    Raises:
        Refused: If it holds no whole weights, or what could run code.
    """
    if gguf_file is None and not (path / CONFIG).is_file():
        files = sorted(each.name for each in path.glob("*.gguf"))
        if len(files) != 1:
            more = f" or one of its {len(files)} gguf files as gguf_file" if files else ""
            raise Refused(f"no {CONFIG} there: name a folder of save_pretrained{more}")
        gguf_file = files[0]
    if gguf_file is not None:
        return _of_gguf(path, gguf_file)
    written = read_json(path / CONFIG)
    if not isinstance(written, dict):
        raise Refused(f"{CONFIG} holds no mapping")
    if (path / _ADAPTER).is_file():
        raise Refused(f"{_ADAPTER} is there: merge the adapter into its model, and save that")
    if written.get("quantization_config"):
        raise Refused(f"{CONFIG} says the weights are quantised: give those of full precision")
    return Contents(path, None, written, dict(_shapes(path)))


def check_sizes(contents: Contents, described: Mapping[str, Any]) -> None:
    """Check that a config describes no more blocks than there are weights, and no endless length.

    Args:
        contents: What the folder holds.
        described: The config, all sub-configs in it.

    Raises:
        Refused: If it does.
    """
    n = len(contents.shapes)
    for key, value in _numbers(described):
        counts = key.rpartition("_")[2] in _LAYERS and not key.startswith("max_")
        if counts and not 0 <= value <= n:
            raise Refused(f"{CONFIG} says {key}={value}, but there are {n} weights")
        if key in _LENGTHS and value > MOST:
            raise Refused(f"{CONFIG} says {key}={value}: lengths end at {MOST:,}")


def check_planned(contents: Contents, planned: Any) -> None:
    """Check that a model takes about the memory of its weights.

    Args:
        contents: What the folder holds.
        planned: The model, on the device "meta".

    Raises:
        Refused: If it takes more.
    """
    held = contents.held
    n = sum(parameter.numel() for parameter in planned.parameters())
    # Parameters that several layers share are in the files once.
    if n > 2 * held:
        raise Refused(f"{CONFIG} describes {n:,} parameters, the files hold {held:,}")
    if (n := sum(buffer.numel() for buffer in planned.buffers())) > 2 * held + _SPARE:
        raise Refused(f"{CONFIG} describes buffers of {n:,} numbers, the files hold {held:,}")


def _of_gguf(path: Path, name: str) -> Contents:
    if Path(name).name != name:
        raise Refused(f"gguf_file {name} must be the name of a file in that folder")
    if not (path / name).is_file():
        raise Refused(f"no {name} there")
    try:
        header = gguf_header(path / name)
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from None
    except ValueError as error:
        raise Refused(str(error)) from None
    return Contents(path, name, header.values, header.shapes)


def _shapes(path: Path) -> Iterator[tuple[str, list[int]]]:
    """Names and shapes of all weights in the folder's files."""
    from safetensors import SafetensorError, safe_open

    for name in _files(path):
        try:
            with safe_open(path / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (no mapping)
                    yield key, file.get_slice(key).get_shape()
        except (SafetensorError, OSError) as error:
            raise Refused(f"{name} is no whole safetensors file ({error})") from error


def _files(path: Path) -> list[str]:
    if (path / WEIGHTS).is_file():
        return [WEIGHTS]
    if (path / _INDEX).is_file():
        index = read_json(path / _INDEX)
        names = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
            raise Refused(f"{_INDEX} names no files")
        files = sorted(set(names.values()))
        for name in files:
            if Path(name).name != name or not (path / name).is_file():
                raise Refused(f"{_INDEX} names {name}, which is not in the folder")
        return files
    pickled = sorted(each.name for end in ("bin", "pt", "pth") for each in path.glob(f"*.{end}"))
    what = (
        f"its weights are pickled ({pickled[0]}), which can run code" if pickled else "no weights"
    )
    raise Refused(f"{what}: give {WEIGHTS}")


def _numbers(content: Any, key: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _numbers(value, name)
    elif isinstance(content, list):
        for value in content:
            yield from _numbers(value, key)
    elif isinstance(content, int) and not isinstance(content, bool):
        yield key, content
