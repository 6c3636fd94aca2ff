"""One axis of layers, first of all, in every table: L where layers differ, 1 where all share."""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar, overload

from torch import Tensor, nn

T = TypeVar("T")


@overload
def of_layer(table: Tensor, layer: int) -> Tensor: ...
@overload
def of_layer(table: Sequence[T], layer: int) -> T: ...
def of_layer(table: Any, layer: int) -> Any:
    """The entry of a layer in a table (L|1, …), or in a list of L or of one.

    Args:
        table: With an entry for each layer, or one that all share.
        layer: Index of the layer.
    """
    n_layers = table.size(0) if isinstance(table, Tensor) else len(table)
    return table[layer % n_layers]


def gained_layers(module: nn.Module, name: str) -> None:
    """Let a module load what release 0.1 kept of a parameter: without an axis if layers shared it.

    Args:
        module: Whose parameter it is; it is made already.
        name: Of the parameter.
    """
    module.register_load_state_dict_pre_hook(partial(_with_layers, name))


def _with_layers(name: str, module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    found, own = state.get(f"{prefix}{name}"), module.get_parameter(name)
    if isinstance(found, Tensor) and found.dim() == own.dim() - 1 and len(own) == 1:
        state[f"{prefix}{name}"] = found.unsqueeze(0)
