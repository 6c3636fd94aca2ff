"""Do a model's mixers take what would help? What they do not comes with softmax attention."""

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


def fitting(found: Finding, mixers: Sequence[type[Mixer]]) -> Finding:
    """The same with remedies that `fit` does not refuse for the sake of the mixers.

    Args:
        found: What the doctor says.
        mixers: Classes of the model's mixers.
    """
    remedies = tuple(
        each if _is_taken(each, mixers) else each._replace(line=f"{SOFTMAX} {each.line}")
        for each in found.remedies
    )
    return found._replace(remedies=remedies)


def _is_taken(remedy: Remedy, mixers: Sequence[type[Mixer]]) -> bool:
    names = [name for found in _ENCODINGS.findall(remedy.line) for name in found.split(",")]
    kinds = [kind for name in names if (kind := getattr(positional, name, None)) is not None]
    hooks = {hook for kind in kinds for hook in overridden(kind, HOOKS)}
    options = _OPTIONS.findall(remedy.line)
    return all(
        hooks <= mixer.hooks and all(_has(mixer, name) for name in options) for mixer in mixers
    )


def _has(mixer: type[Mixer], option: str) -> bool:
    parameters = inspect.signature(mixer).parameters.values()
    return any(each.name == option or each.kind == each.VAR_KEYWORD for each in parameters)
