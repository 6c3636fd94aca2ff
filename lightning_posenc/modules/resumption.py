"""What a resumed run takes along with what was changed: moments, rates, schedules.

Lightning restores an optimizer, its groups and its schedule as they were saved, whatever the
options say now, and torch matches moments to parameters by number, whatever their shapes are.
"""

import json
import logging
import warnings
from typing import Any, NamedTuple

import lightning as L
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_posenc.modules.optimizer_record import Record, differences, recorded
from lightning_posenc.modules.optimizer_state import by_name, check_shapes, options_of, state_keys
from lightning_posenc.modules.total_steps import Reached, reached
from lightning_posenc.positional.resampling import ResizedTable

log = logging.getLogger("lightning_posenc")

_KEY = "lightning_posenc_optimizers"
_ACCUMULATED = "lightning_posenc_accumulated"
_EPOCH = "lightning_posenc_epoch"  # its batches


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
        schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
        self._now = recorded(trainer.optimizers, schedules, names)
        self._fresh = [list(map(options_of, o.param_groups)) for o in trainer.optimizers]
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
            log.warning("resumed with other options: %s", differences(saved.record, self._now))
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
        moments = by_name(state, (now if then is None else then)["parameters"])
        if moments is None:
            return None  # torch says what is wrong with it
        if then is not None and then["class"] != now["class"]:
            log.warning("%s begins anew: the checkpoint has %s", now["class"], then["class"])
            moments = {}
        made: dict[str, Any] = {"state": {}, "param_groups": []}
        number, anew = 0, []
        for group, names in zip(optimizer.param_groups, now["parameters"], strict=True):
            expected = None if then == now else state_keys(optimizer, group)
            params = []
            for name in names:
                own = self._fitted(module, name, moments.get(name, {}))
                if own is None or (own and expected is not None and own.keys() != expected):
                    anew.append(name)
                elif own:
                    made["state"][number] = own
                params.append(number)
                number += 1
            made["param_groups"].append({**options_of(group), "params": params})
        if anew:
            log.warning("moments that do not fit any more begin anew: %s", ", ".join(anew))
        if then == now:
            for group, saved in zip(made["param_groups"], state["param_groups"], strict=True):
                group.update(options_of(saved))
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
