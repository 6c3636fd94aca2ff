"""What libraries and the system raise where a person erred, said in one line."""

import errno
import os
import re
import site
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path

_HINTS = {
    errno.ENOSPC: "free some space: the files that were there before are whole",
    errno.EDQUOT: "free some space: the files that were there before are whole",
    errno.EFBIG: "raise the limit (ulimit -f): the files that were there before are whole",
    errno.EROFS: "name a place that can be written to",
    errno.EACCES: "name another place, or change its permissions",
    errno.EPERM: "name another place, or change its permissions",
    errno.ENAMETOOLONG: "name a shorter one",
    errno.ENOTDIR: "a part of the path is a file: name a directory",
    errno.EISDIR: "name a file",
    errno.ELOOP: "its links lead to themselves: name another place",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), or use fewer workers",
    errno.ENOENT: "check the spelling",
}


def explained(error: BaseException) -> str | None:
    """Say an error that a person can mend in one line; None if it is no such error.

    Args:
        error: Any, of any library.
    """
    if isinstance(error, InterruptedError):
        return None
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, ModuleNotFoundError):
        return f"{_first_line(error)}: install it, or check the spelling"
    if isinstance(error, RecursionError):
        return "nested too deeply: something refers to itself, or to too many others in a row"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"not enough memory: {_first_line(error)}: make the batch, length or model smaller"
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = str(error)
    for kind, pattern, say in _SAYINGS:
        if kind in kinds and (found := re.search(pattern, text, re.DOTALL)):
            return say(found)
    return None


def own_place(error: BaseException) -> str | None:
    """File and line where a user's own module raised an error, or called what raised it.

    Args:
        error: As it was caught.

    Returns:
        None if it was raised by this package or by a library that this package called.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if _PACKAGE in path.parents:
            return None
        if path.is_file() and not any(library in path.parents for library in _LIBRARIES):
            return f"{path.name}, line {frame.lineno}, in {frame.name}"
    return None


_PACKAGE = Path(__file__).parents[1]
_LIBRARIES = {
    Path(folder)
    for folder in (
        *sysconfig.get_paths().values(),
        *site.getsitepackages(),
        *(path for path in sys.path if path.endswith("site-packages")),
    )
    if folder and Path(folder) != Path(sysconfig.get_path("data"))
}


def _of_system(error: OSError) -> str:
    if error.errno is None or error.strerror is None:
        return _first_line(error)
    place = error.filename2 or error.filename
    where = f"{os.fsdecode(place)}: " if isinstance(place, str | bytes | os.PathLike) else ""
    if isinstance(error, FileExistsError) and where and not Path(os.fsdecode(place)).exists():
        return f"{where}is a link to nothing: name another place"
    hint = _HINTS.get(error.errno)
    return f"{where}{error.strerror.lower()}{f': {hint}' if hint else ''}"


def _of_state(found: re.Match[str]) -> str:
    """Lightning's and torch's complaint about weights that do not fit."""
    sizes = re.findall(
        r"size mismatch for (\S+): copying a param with shape torch.Size\((.*?)\) from checkpoint, "
        r"the shape in current model is torch.Size\((.*?)\)",
        found["keys"],
    )
    wrong = [f"{key} is {stored} there and {here} here" for key, stored, here in sizes]
    for title, what in (("Missing", "it lacks"), ("Unexpected", "it has")):
        if keys := re.search(rf'{title} key\(s\) in state_dict: "(.*?)"(,?)', found["keys"]):
            more = " and others" if keys[2] else ""
            wrong.append(f"{what} {keys[1]}{more}")
    what = "; ".join(wrong[:3]) or " ".join(found["keys"].split())[:200]
    more = f" ({len(wrong) - 3} more)" if len(wrong) > 3 else ""
    return (
        f"the checkpoint does not fit {found['model']}: {what}{more}: give the model the options "
        "that the checkpoint was trained with"
    )


def _line(text: str) -> Callable[[re.Match[str]], str]:
    return lambda found: text.format(**found.groupdict())


_SAYINGS: list[tuple[str, str, Callable[[re.Match[str]], str]]] = [
    (
        "RuntimeError",
        r"Error\(s\) in loading state_dict for (?P<model>\w+):(?P<keys>.*)",
        _of_state,
    ),
    (
        "RuntimeError",
        r"optimizer, (?P<name>\w+), does not allow for gradient clipping",
        _line(
            "trainer.gradient_clip_val does not go with trainer.precision=16-mixed or bf16-mixed "
            "and a fused {name}, which unscales gradients itself: --model.optimizer.fused=false"
        ),
    ),
    (
        "RuntimeError",
        r"Early stopping conditioned on metric `(?P<name>.*?)`.*any of the following: (?P<all>.*)",
        _line(
            "EarlyStopping: monitor={name} has no value when it looks; what has one: {all}; a "
            "training metric has one where trainer.log_every_n_steps divides the number of the step"
        ),
    ),
    (
        "RuntimeError",
        r"Found more than one stateful callback of type `(?P<name>\w+)`",
        _line("trainer.callbacks: two {name} with the same options: leave one out"),
    ),
    (
        "RuntimeError",
        r"PytorchStreamWriter failed|unexpected pos \d+ vs \d+",
        _line("a checkpoint cannot be written: is the disk full? Those written before are whole"),
    ),
    (
        "RuntimeError",
        r"PytorchStreamReader failed[^\n.]*",
        lambda found: f"not a whole file of torch.save ({found[0]}): name another",
    ),
    (
        "RuntimeError",
        r"[Cc]an't allocate memory|not enough memory|[Oo]ut of memory|invalid argument: mmap",
        _line("not enough memory: make the batch, length or model smaller"),
    ),
    (
        "RuntimeError",
        r"DataLoader worker \(pid\(?s?\)? [^)]*\) (?P<how>[^\n.]*)",
        _line("a data.num_workers process ended ({how}): out of memory, or killed"),
    ),
    (
        "ValueError",
        r"`use_muon` must be set|Muon only supports 2D",
        _line(
            "optimizer: Muon is for hidden matrices, and something else for the rest: --model."
            "muon_groups=true, and an optimizer that has both, such as pytorch_optimizer.Muon"
        ),
    ),
    (
        "TypeError",
        r"`devices` selected with[^\n]*",
        lambda found: f"trainer.devices: {found[0]}",
    ),
    (
        "RuntimeError",
        r"EADDRINUSE|address already in use",
        _line("the port is in use: MASTER_PORT"),
    ),
    ("UnpicklingError", r".*?\n|.*", _line("the file holds more than tensors: it is not read")),
    ("SafetensorError", r"[^\n]*", lambda found: f"not a whole safetensors file ({found[0]})"),
    ("BadZipFile", r"[^\n]*", lambda found: f"not a whole file ({found[0]})"),
    ("EOFError", r"[^\n]*", _line("a file ends too early")),
    ("YAMLError", r".*", lambda found: f"not YAML: {' '.join(found[0].split())}"),
]


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(":. ") or type(error).__name__
