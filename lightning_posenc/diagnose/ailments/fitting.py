"""Do a model's mixers and its grid take what would help? What mixers do not comes with softmax
attention; of an encoding of sequences a grid takes one of rows and columns.
"""

import inspect
import re
from collections.abc import Sequence

from lightning_posenc import positional
from lightning_posenc.diagnose.ailments.base import Finding, Remedy
from lightning_posenc.model.mixers import Mixer
from lightning_posenc.positional.base import HOOKS, overridden

SOFTMAX = "--model.encoder.mixer=Attention"
_ENCODINGS = re.compile(r"--model\.positional(?:\.pattern)?=\[?([\w,]+)")
_OPTIONS = re.compile(r"--model\.encoder\.mixer\.(\w+)=")
_OF_ENCODINGS = re.compile(r"--model\.positional\.(\w+)[.=]")

# What an encoding of sequences has for a counterpart on a grid, and what that is.
_ON_A_GRID = {
    "LearnedAbsolute": (
        "LearnedGrid --model.positional.height={} --model.positional.width={}",
        "a vector for each row and column, learned",
    ),
    "RoPE": ("MixedRoPE", "rows and columns in every layer's queries and keys"),
    "ALiBi": ("LogCPB", "a bias in every layer's logits, and a function that goes on with offsets"),
    "T5Bias": ("LogCPB", "a bias that is a learned function of rows and columns apart"),
}
# One that has the same options, where a remedy is about those.
_WITH_OPTIONS = {"RoPE": "AxialRoPE"}


def fitting(
    found: Finding, mixers: Sequence[type[Mixer]], grid: tuple[int, int] | None = None
) -> Finding:
    """The same with remedies that `fit` does not refuse for the sake of the mixers or the grid.

    Args:
        found: What the doctor says.
        mixers: Classes of the model's mixers.
        grid: Rows and columns of a model's tokens, if they stand on a grid.
    """
    given = found.remedies
    if grid is not None:
        placed = (_on_a_grid(each, grid) for each in given)
        given = tuple({each.line: each for each in placed if each is not None}.values())
    remedies = tuple(
        each if _is_taken(each, mixers) else each._replace(line=f"{SOFTMAX} {each.line}")
        for each in given
    )
    return found._replace(remedies=remedies)


def _on_a_grid(remedy: Remedy, grid: tuple[int, int]) -> Remedy | None:
    """The same for a grid; None if there is no such remedy."""
    if not _ENCODINGS.search(remedy.line):
        return None if "--model.positions=" in remedy.line else remedy
    words, why = [], remedy.why
    has_options = bool(set(_OF_ENCODINGS.findall(remedy.line)) - {"pattern", "shared"})
    for word in remedy.line.split():
        if word.startswith("--model.positional.shared"):  # an option of T5's alone
            continue
        for name in _names(word):
            if name not in _ON_A_GRID and not _serves_grids(name):
                return None
            if has_options and name in _WITH_OPTIONS:
                word = word.replace(name, _WITH_OPTIONS[name])
            elif has_options and name in _ON_A_GRID:
                return None  # the other one's options are none of its counterpart's
            elif name in _ON_A_GRID:
                counterpart, why = _ON_A_GRID[name]
                word = word.replace(name, counterpart.format(*grid))
        words.append(word)
    return Remedy(" ".join(words), why)


def _names(line: str) -> list[str]:
    return [name for found in _ENCODINGS.findall(line) for name in found.split(",")]


def _serves_grids(name: str) -> bool:
    """Whether an encoding has places of rows and columns, or reads none, or is made of others."""
    kind = getattr(positional, name, None)
    axes = getattr(kind, "axes", None)
    return name == "NoPE" or issubclass(kind or object, positional.PerLayer) or axes == 2


def _is_taken(remedy: Remedy, mixers: Sequence[type[Mixer]]) -> bool:
    names = _names(remedy.line)
    kinds = [kind for name in names if (kind := getattr(positional, name, None)) is not None]
    hooks = {hook for kind in kinds for hook in overridden(kind, HOOKS)}
    options = _OPTIONS.findall(remedy.line)
    return all(
        hooks <= mixer.hooks and all(_has(mixer, name) for name in options) for mixer in mixers
    )


def _has(mixer: type[Mixer], option: str) -> bool:
    parameters = inspect.signature(mixer).parameters.values()
    return any(each.name == option or each.kind == each.VAR_KEYWORD for each in parameters)
