"""A text in place of a tensor, a record or a model is refused in one line, by every measurement."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import diagnostics
from lightning_posenc.model.kernels import Operands

FUNCTIONS = [
    value for name in diagnostics.__all__ if inspect.isfunction(value := getattr(diagnostics, name))
]
KINDS = (Tensor, Operands, nn.Module, Tensor | None)


def asked(function: Callable[..., Any]) -> list[str]:
    """The arguments that must be one of the kinds."""
    hints = get_type_hints(function)
    return [name for name in inspect.signature(function).parameters if hints[name] in KINDS]


def test_every_function_is_asked() -> None:
    assert len(FUNCTIONS) >= 15
    silent = {each.__name__ for each in FUNCTIONS if not asked(each)}
    # Which ask a module for a `score`, and lengths for what `spread` gives.
    assert silent == {"positional_gradients", "dilution"}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("value", ["x.pt", [[1.0]], 3], ids=str)
def test_what_is_of_another_kind_is_named(function: Callable[..., Any], value: Any) -> None:
    parameters = inspect.signature(function).parameters
    must = [n for n, each in parameters.items() if each.default is each.empty]
    for name in asked(function) or must[:1]:
        given = dict.fromkeys(must, torch.zeros(2, 4, 3)) | {name: value}
        if parameters[name].default is None:
            given |= dict.fromkeys(must, value)  # what comes first may be named first
        with pytest.raises(ValueError, match=rf"^{function.__name__}: \w+=.* must ") as error:
            function(**given)
        assert "\n" not in str(error.value)
