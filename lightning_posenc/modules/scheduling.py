"""How a schedule is made: from an optimizer, the run's total steps, and options of its own."""

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from lightning_posenc.modules.optim import GroupWarmup

TOTALS = ("total_steps", "T_max", "total_iters")
"""What the argument is called that takes the total number of steps, here and in torch."""

MONITOR = "val/loss"
"""What ReduceLROnPlateau goes by."""


class OfTotal(Protocol):
    """Makes a schedule that is told the run's total steps, under one of these names."""

    def __call__(
        self, optimizer: Optimizer, total_steps: int, T_max: int, total_iters: int
    ) -> LRScheduler: ...


# The first is what a config's class is taken for where it names no total itself; the second where
# it does, or has none. A function of Python's may take both in this order, by whatever names.
ScheduleFactory: TypeAlias = (
    OfTotal | Callable[[Optimizer], LRScheduler] | Callable[[Optimizer, int], LRScheduler]
)


def make_schedule(
    factory: ScheduleFactory | None, optimizer: Optimizer, total_steps: float
) -> LRScheduler:
    """Make a schedule, giving it the total steps where it has an argument for them.

    Args:
        factory: A class of schedules, perhaps with some of its arguments bound, or a function of
            the optimizer, or of the optimizer and the total steps. None for a constant rate.
        optimizer: The optimizer.
        total_steps: Steps of the whole run; infinite if it has no end.

    Raises:
        ValueError: If it needs something else, or an end that the run has not.
    """
    if factory is None:
        return LambdaLR(optimizer, _constant)
    made, bound = _unbound(factory)
    name = getattr(made, "__name__", type(made).__name__)
    first, *others = inspect.signature(made).parameters.values()
    if inspect.isclass(made) and first.name != "optimizer":
        raise ValueError(
            f"schedule={name} is not made from an optimizer: give a function of (optimizer, "
            "total_steps) that makes it, from Python"
        )
    open_ = [p for p in others if p.name not in bound and p.kind not in _VARIADIC]
    needed = [p.name for p in open_ if p.default is p.empty]
    total = next((p.name for p in open_ if p.name in TOTALS), None)
    if total is None and not inspect.isclass(made) and len(needed) == 1:
        total = needed[0]
    if missing := [each for each in needed if each != total]:
        raise ValueError(
            f"schedule={name} needs {', '.join(missing)}: give "
            + " ".join(f"--model.schedule.{each}=…" for each in missing)
        )
    if total is None:
        return factory(optimizer)  # type: ignore[call-arg]
    if math.isinf(total_steps):
        raise ValueError("the schedule needs an end: set trainer.max_steps or trainer.max_epochs")
    return factory(optimizer, **{total: int(total_steps)})  # type: ignore[call-arg]


def held_back(schedule: LRScheduler, group: str, warmup_steps: int, frozen_steps: int) -> Any:
    """A schedule that holds a group's rate back at first, if it is to.

    Raises:
        ValueError: If the schedule has no steps to do it by.
    """
    if not warmup_steps and not frozen_steps:
        return schedule
    if isinstance(schedule, ReduceLROnPlateau):
        raise ValueError(
            f"schedule=ReduceLROnPlateau is not stepped with the optimizer, so it cannot hold back "
            f"{group} parameters: leave {group}_warmup_steps and {group}_frozen_steps out"
        )
    return GroupWarmup(schedule, group, warmup_steps, frozen_steps)


def stepped(schedule: Any, trainer: Any) -> dict[str, Any]:
    """What Lightning is told of a schedule: after which steps it goes on, by what.

    Raises:
        ValueError: If it goes by a validation that the run has not, or not with every epoch.
    """
    if not isinstance(schedule, ReduceLROnPlateau):
        return {"scheduler": schedule, "interval": "step"}
    every = trainer.check_val_every_n_epoch
    if every is None or not trainer.limit_val_batches:
        raise ValueError(
            f"schedule=ReduceLROnPlateau goes by {MONITOR}, once an epoch: let the run validate "
            "(limit_val_batches above 0, check_val_every_n_epoch a number)"
        )
    return {
        "scheduler": schedule,
        "interval": "epoch",
        "frequency": every,
        "monitor": MONITOR,
    }


def check_ratios(optimizer: Optimizer, peaks: Sequence[float], options: str) -> None:
    """Refuse a schedule that has set all rates itself, where groups' are to differ.

    Args:
        optimizer: With its schedule just made.
        peaks: The rate of each group, before the schedule was made.
        options: What their differences come from, as it is configured.

    Raises:
        ValueError: If the rates are not in the ratio of the peaks.
    """
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    shares = [rate / peak for rate, peak in zip(rates, peaks, strict=True) if peak]
    wanted = [shares[0] * peak if shares else 0.0 for peak in peaks]
    if not all(
        math.isclose(rate, want, rel_tol=1e-6, abs_tol=1e-30)
        for rate, want in zip(rates, wanted, strict=True)
    ):
        raise ValueError(
            f"{options} does nothing: the schedule sets every rate itself (max_lr, base_lr); give "
            "it a list of rates from Python, or leave the option at 1"
        )


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _constant(step: int) -> float:
    return 1.0


def _unbound(factory: Any) -> tuple[Any, dict[str, Any]]:
    """What is called in the end, and its arguments that are bound by name."""
    bound: dict[str, Any] = {}
    while isinstance(factory, partial):
        bound = {**factory.keywords, **bound}
        # A config's class is an argument of what makes it.
        classes = [a for a in factory.args if inspect.isclass(a) and issubclass(a, LRScheduler)]
        factory = classes[0] if classes else factory.func
    return factory, bound
