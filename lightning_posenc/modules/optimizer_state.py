"""What an optimizer remembers of each parameter: whose it is, and whether it fits."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def check_shapes(optimizer: Optimizer, names: dict[int, str]) -> None:
    """Refuse state whose shapes are not its parameter's: fused kernels write past its end.

    Only optimizers of torch are asked, whose states have the parameter's shape, that of a row or
    column of it (Adafactor), or are one number. State that lies in memory otherwise than its
    parameter, such as one number expanded to many, is laid out anew.

    Args:
        optimizer: Whose state to check.
        names: Of parameters, by id.

    Raises:
        ValueError: Naming the parameter.
    """
    if not any(kind.__module__.startswith("torch.optim.") for kind in type(optimizer).__mro__[:-2]):
        return
    usual: dict[int, dict[str, Any]] = {}  # by number of axes
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if state and parameter.dim() not in usual:
                usual[parameter.dim()] = _trial_state(optimizer, group, parameter.dim()) or {}
            for key, value in state.items():
                if not isinstance(value, Tensor):
                    continue
                expected = _shape_of(parameter, usual[parameter.dim()].get(key))
                if tuple(value.shape) != expected:
                    raise ValueError(
                        f"{type(optimizer).__name__}: {key} of "
                        f"{names.get(id(parameter), 'a parameter')} has shape "
                        f"{tuple(value.shape)}, not {expected}: the state is of another model; "
                        "load the weights alone"
                    )
                if value.shape == parameter.shape and value.stride() != parameter.stride():
                    state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
                elif not value.is_contiguous():
                    state[key] = value.contiguous()


def _shape_of(parameter: Tensor, usual: Any) -> tuple[int, ...]:
    """The shape of a parameter's state, from what it is where every axis has two entries."""
    if not isinstance(usual, Tensor) or usual.dim() not in (0, parameter.dim()):
        return tuple(parameter.shape)
    sizes = zip(usual.shape, parameter.shape, strict=False)
    return tuple(1 if size == 1 else whole for size, whole in sizes)


def by_name(
    state: dict[str, Any], names: Sequence[Sequence[str]]
) -> dict[str, dict[str, Any]] | None:
    """Saved moments by their parameter's name; None if they are those of other parameters.

    Args:
        state: Of an optimizer, as `state_dict` gives it.
        names: Of its parameters, group by group, when it was saved.
    """
    numbers = [n for group in state["param_groups"] for n in group["params"]]
    flat = [name for group in names for name in group]
    if len(numbers) != len(flat):
        return None
    return {name: state["state"].get(n, {}) for n, name in zip(numbers, flat, strict=True)}


def state_keys(optimizer: Optimizer, group: dict[str, Any]) -> set[str] | None:
    """What such an optimizer remembers of a parameter; None if that cannot be tried out."""
    state = _trial_state(optimizer, group, 2)
    return None if state is None else set(state)


def _trial_state(optimizer: Optimizer, group: dict[str, Any], axes: int) -> dict[str, Any] | None:
    """What such an optimizer remembers of a parameter with two entries on each of its axes; None
    if that cannot be tried out.
    """
    parameter = nn.Parameter(torch.zeros((2,) * axes))
    parameter.grad = torch.zeros((2,) * axes)
    try:
        trial: Any = type(optimizer)([{**options_of(group), "params": [parameter]}])  # type: ignore[call-arg]
        trial.step()
    except Exception:
        return None
    return dict(trial.state[parameter])


def options_of(group: dict[str, Any]) -> dict[str, Any]:
    """All of a group but its parameters."""
    return {key: value for key, value in group.items() if key != "params"}
