"""What a resumed run takes along with what was changed: moments, rates, schedules.

Lightning restores an optimizer, its groups and its schedule as they were saved, whatever the
options say now, and torch matches moments to parameters by number, whatever their shapes are.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_posenc.modules.total_steps import Reached, reached
from lightning_posenc.positional.resampling import ResizedTable

log = logging.getLogger("lightning_posenc")

_KEY = "lightning_posenc_optimizers"
_ACCUMULATED = "lightning_posenc_accumulated"
_EPOCH = "lightning_posenc_epoch"  # its batches

Record = dict[str, Any]


class _Saved(NamedTuple):
    """What a checkpoint tells before it is restored."""

    record: Record | None
    shapes: dict[str, tuple[int, ...]]
    schedules: list[dict[str, Any]]
    epoch: float | None  # batches of one
    reached: Reached | None

    def check_epoch(self, batches: float) -> None:
        """Refuse epochs of another length, if the run goes on within one.

        Raises:
            ValueError: If Lightning would end it too early, or begin it anew.
        """
        within = self.reached.batches if self.reached else 0
        if within and self.epoch not in (None, batches):
            raise ValueError(
                f"cannot resume after {within} batches of an epoch of {self.epoch} with epochs of "
                f"{batches}: resume with {self.epoch} (data.steps_per_epoch, "
                "trainer.limit_train_batches), or from the checkpoint of an epoch's end"
            )


class Resumption(L.Callback):
    """Lets the options of a resumed run hold for what its checkpoint restores.

    A checkpoint tells how optimizers and schedules were configured. Where a resumed run configures
    them as before, they go on as saved. Where not, the groups have the options of now, and the
    schedule is at the step where it would be had the run begun with them; what differs is said.
    Moments go with their parameter by name; those of a table that is resized on loading are resized
    with it, and those that fit no more begin anew.

    Works for every LightningModule, optimizer, schedule and strategy.
    """

    def __init__(self) -> None:
        self._now: Record | None = None
        self._fresh: list[list[dict[str, Any]]] = []
        self._saved: _Saved | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember how everything is configured, before anything is restored."""
        names = {id(parameter): name for name, parameter in pl_module.named_parameters()}
        self._now = {
            "optimizers": [_described(optimizer, names) for optimizer in trainer.optimizers],
            "schedules": [
                {"class": _name(config.scheduler), "state": config.scheduler.state_dict()}
                for config in trainer.lr_scheduler_configs
            ],
        }
        self._now = json.loads(_plain(self._now))
        self._fresh = [list(map(_options, o.param_groups)) for o in trainer.optimizers]
        for place, optimizer in enumerate(trainer.optimizers):

            def adapted(
                optimizer: Optimizer, state: dict[str, Any], place: int = place
            ) -> dict[str, Any] | None:
                return self._adapted(place, optimizer, state, pl_module)

            optimizer.register_load_state_dict_pre_hook(adapted)
            optimizer.register_load_state_dict_post_hook(
                lambda optimizer: check_shapes(optimizer, names)
            )

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._now is not None:
            checkpoint[_KEY] = json.dumps(self._now)
            checkpoint[_ACCUMULATED] = trainer.accumulate_grad_batches
            checkpoint[_EPOCH] = trainer.num_training_batches

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._saved = _Saved(
            json.loads(checkpoint[_KEY]) if _KEY in checkpoint else None,
            {
                name: tuple(value.shape)
                for name, value in checkpoint.get("state_dict", {}).items()
                if isinstance(value, Tensor)
            },
            checkpoint.get("lr_schedulers", []),
            checkpoint.get(_EPOCH),
            reached(checkpoint),
        )
        now = trainer.accumulate_grad_batches
        then = checkpoint.get(_ACCUMULATED, now)
        if checkpoint.get("lr_schedulers") and then != now:
            raise ValueError(
                f"cannot resume with trainer.accumulate_grad_batches={now}: the "
                f"checkpoint was trained with {then}, and a schedule counts the steps of the whole "
                f"run: resume with {then} or start a new run"
            )
        if "lr_schedulers" in checkpoint:
            checkpoint["lr_schedulers"] = []  # restored when it is known what has changed

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Bring groups and schedules to where they belong."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        saved.check_epoch(trainer.num_training_batches)
        schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
        if saved.record == self._now:
            for schedule, state in zip(schedules, saved.schedules, strict=False):
                schedule.load_state_dict(state)
            return
        assert self._now is not None
        if saved.record is not None:
            log.warning("resumed with other options: %s", _differences(saved.record, self._now))
        for optimizer, groups in zip(trainer.optimizers, self._fresh, strict=True):
            for group, options in zip(optimizer.param_groups, groups, strict=True):
                group.update(options)
        for schedule, state in zip(schedules, saved.schedules, strict=False):
            _replay(schedule, state)

    def _adapted(
        self, place: int, optimizer: Optimizer, state: dict[str, Any], module: nn.Module
    ) -> dict[str, Any] | None:
        """An optimizer's saved state in the order, the shapes and with the options of now."""
        if self._saved is None or any(isinstance(key, str) for key in state["state"]):
            return None  # one that torch has brought to a sharded model already
        assert self._now is not None
        now = self._now["optimizers"][place]
        then = None
        if self._saved.record is not None and place < len(self._saved.record["optimizers"]):
            then = self._saved.record["optimizers"][place]
        moments = _by_name(state, now if then is None else then)
        if moments is None:
            return None  # torch says what is wrong with it
        if then is not None and then["class"] != now["class"]:
            log.warning("%s begins anew: the checkpoint has %s", now["class"], then["class"])
            moments = {}
        made: dict[str, Any] = {"state": {}, "param_groups": []}
        number, anew = 0, []
        for group, names in zip(optimizer.param_groups, now["parameters"], strict=True):
            expected = None if then == now else _state_keys(optimizer, group)
            params = []
            for name in names:
                own = self._fitted(module, name, moments.get(name, {}))
                if own is None or (own and expected is not None and own.keys() != expected):
                    anew.append(name)
                elif own:
                    made["state"][number] = own
                params.append(number)
                number += 1
            made["param_groups"].append({**_options(group), "params": params})
        if anew:
            log.warning("moments that do not fit any more begin anew: %s", ", ".join(anew))
        if then == now:
            for group, saved in zip(made["param_groups"], state["param_groups"], strict=True):
                group.update(_options(saved))
        return made

    def _fitted(
        self, module: nn.Module, name: str, moments: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The moments of a parameter in its shape of now; None if they cannot be brought to it."""
        assert self._saved is not None
        was, now = self._saved.shapes.get(name), tuple(module.get_parameter(name).shape)
        if was is None or was == now:
            return moments
        owner = module.get_submodule(name.rpartition(".")[0])
        fitted: dict[str, Any] = {}
        for key, value in moments.items():
            if not isinstance(value, Tensor) or (value.numel() == 1 and tuple(value.shape) != was):
                fitted[key] = value
            elif tuple(value.shape) == was and now == (1, *was):  # as `gained_layers` loads it
                fitted[key] = value.unsqueeze(0)
            elif tuple(value.shape) == was and isinstance(owner, ResizedTable):
                fitted[key] = owner.resized_moments(value)
            else:
                return None
        return fitted


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


def _described(optimizer: Optimizer, names: dict[int, str]) -> Record:
    return {
        "class": _name(optimizer),
        "groups": [_options(group) for group in optimizer.param_groups],
        "parameters": [
            [names.get(id(p), "") for p in group["params"]] for group in optimizer.param_groups
        ],
    }


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != "params"}


def _name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _plain(value: Any) -> str:
    """JSON, where a tensor is its numbers and what JSON does not know is its type's name."""
    return json.dumps(
        value, default=lambda x: x.tolist() if isinstance(x, Tensor) else type(x).__qualname__
    )


def _by_name(state: dict[str, Any], record: Record) -> dict[str, dict[str, Any]] | None:
    """Saved moments by their parameter's name; None if they are not those of the record."""
    numbers = [n for group in state["param_groups"] for n in group["params"]]
    names = [name for group in record["parameters"] for name in group]
    if len(numbers) != len(names):
        return None
    return {name: state["state"].get(n, {}) for n, name in zip(numbers, names, strict=True)}


def _state_keys(optimizer: Optimizer, group: dict[str, Any]) -> set[str] | None:
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
        trial: Any = type(optimizer)([{**_options(group), "params": [parameter]}])  # type: ignore[call-arg]
        trial.step()
    except Exception:
        return None
    return dict(trial.state[parameter])


def _replay(schedule: Any, state: dict[str, Any]) -> None:
    """Bring a schedule, just made, to the step at which another was saved."""
    if isinstance(schedule, ReduceLROnPlateau):
        raise ValueError(
            "ReduceLROnPlateau goes by what it has seen of a run, so optimizer and schedule "
            "cannot be given other options when that is resumed: leave them as they were"
        )
    steps = state.get("last_epoch", state.get("steps"))
    if steps is None:  # not one of torch's kind
        schedule.load_state_dict(state)
        return
    with warnings.catch_warnings():
        # The optimizer's steps were made in another process.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
        for _ in range(steps):
            schedule.step()


def _differences(then: Record, now: Record) -> str:
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
