"""How optimizers and schedules are configured, in plain values, and what differs of two runs."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from torch import Tensor
from torch.optim import Optimizer

from lightning_posenc.modules.optimizer_state import options_of

Record: TypeAlias = dict[str, Any]


def recorded(
    optimizers: Sequence[Optimizer], schedules: Sequence[Any], names: dict[int, str]
) -> Record:
    """What a checkpoint tells of them, as JSON gives it back.

    A tensor is its numbers, and what JSON does not know the name of its type.

    Args:
        optimizers: Of a run.
        schedules: Likewise.
        names: Of the parameters, by id.
    """
    record = {
        "optimizers": [_described(optimizer, names) for optimizer in optimizers],
        "schedules": [
            {"class": _class_path(schedule), "state": schedule.state_dict()}
            for schedule in schedules
        ],
    }
    found: Record = json.loads(json.dumps(record, default=_plain))
    return found


def _described(optimizer: Optimizer, names: dict[int, str]) -> Record:
    groups = optimizer.param_groups
    return {
        "class": _class_path(optimizer),
        "groups": [options_of(group) for group in groups],
        "parameters": [[names.get(id(p), "") for p in group["params"]] for group in groups],
    }


def _class_path(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, Tensor) else type(value).__qualname__


def differences(then: Record, now: Record) -> str:
    """Say in one line what differs between the records of two runs."""
    return "; ".join(_changes(then, now)) or "in what the optimizers hold"


def _changes(then: Record, now: Record) -> Iterator[str]:
    for was, new in zip(then["optimizers"], now["optimizers"], strict=False):
        if was["class"] != new["class"]:
            yield f"{new['class']}, not {was['class']}"
            continue
        of_name = {group.get("name", n): group for n, group in enumerate(was["groups"])}
        for n, group in enumerate(new["groups"]):
            name = group.get("name", n)
            old = of_name.get(name, {})
            for key, value in group.items():
                # What a schedule makes of its peak says nothing.
                if old.get(key) != value and not (key == "lr" and "initial_lr" in group):
                    key_said = "lr" if key == "initial_lr" else key
                    yield f"{key_said} of the group {name} {old.get(key)} → {value}"
    for was, new in zip(then["schedules"], now["schedules"], strict=False):
        if was["class"] != new["class"]:
            yield f"{new['class']}, not {was['class']}"
            continue
        name = new["class"].rpartition(".")[2]
        for key, value in new["state"].items():
            old = was["state"].get(key)
            if not key.startswith("_") and key != "base_lrs" and old != value:
                yield f"{key} of {name} {old} → {value}"
