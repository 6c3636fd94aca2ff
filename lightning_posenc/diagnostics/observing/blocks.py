"""Find the repeated blocks of a transformer, whatever its author called them."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

from lightning_posenc.model.mixers import Mixer


class Stack(NamedTuple):
    """The blocks that a residual stream runs through.

    Args:
        name: Where they are in the model.
        owner: The module that runs them.
        blocks: In order.
    """

    name: str
    owner: nn.Module
    blocks: list[nn.Module]


def find_stack(model: nn.Module) -> Stack | None:
    """The outermost list of modules of one class with attention in them.

    Returns:
        None if there is none, as in a lone `nn.MultiheadAttention`.

    Raises:
        ValueError: If there are several, as in an encoder-decoder.
    """
    found = list(_stacks(model, model, ""))
    if len(found) > 1:
        names = ", ".join(stack.name for stack in found)
        raise ValueError(
            f"{type(model).__name__} has several stacks of blocks ({names}): observe one of them, "
            f"model.{found[0].name.rpartition('.')[0] or found[0].name}, and run the whole model"
        )
    return found[0] if found else None


def _stacks(module: nn.Module, owner: nn.Module, name: str) -> Iterator[Stack]:
    if isinstance(module, nn.ModuleList | nn.Sequential):
        blocks = list(module)
        kinds = {type(block) for block in blocks}
        called = len(kinds) == 1 and not kinds & {nn.ModuleList, type(None)}
        if called and any(map(_attends, blocks[0].modules())):
            runner = module if isinstance(module, nn.Sequential) else owner
            yield Stack(name, runner, blocks)
            return
    left_out = getattr(module, "unobserved", ())  # whose blocks belong to another stage
    for child_name, child in module.named_children():
        if child_name in left_out:
            continue
        yield from _stacks(child, module, f"{name}.{child_name}" if name else child_name)


def _attends(module: nn.Module) -> bool:
    name = type(module).__name__.lower()
    return isinstance(module, Mixer) or "attention" in name or "attn" in name


def first_tensor(values: Any) -> Tensor:
    """The first floating-point tensor among a module's inputs or outputs: the residual stream."""
    for value in [values] if isinstance(values, Tensor) else _items(values):
        if isinstance(value, Tensor) and value.is_floating_point():
            return value
    raise ValueError("a block neither takes nor gives a tensor that could be the residual stream")


def _items(values: Any) -> Iterable[Any]:
    return values.values() if isinstance(values, dict) else values


def as_batch_first(block: nn.Module, x: Tensor) -> Tensor:
    """The residual stream as (B, T, D), of torch's own layers too, which may put tokens first."""
    if x.dim() == 2:
        return x.unsqueeze(0)
    attention = getattr(block, "self_attn", None)
    if isinstance(attention, nn.MultiheadAttention) and not attention.batch_first:
        return x.transpose(0, 1)
    return x
