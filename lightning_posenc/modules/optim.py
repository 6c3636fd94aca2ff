"""Optimizer groups and the learning-rate schedule."""

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from lightning_posenc.checks import MOST_STEPS, is_a, number, whole

OptimizerFactory: TypeAlias = Callable[[Iterable], Optimizer]


class WarmupCosine(LambdaLR):
    """Linear warm-up, then half a cosine down to `final_ratio` of the peak, stepped per step.

    Args:
        optimizer: The optimizer.
        total_steps: Steps of the whole run, not negative.
        warmup_steps: Steps until the peak, not negative.
        final_ratio: Learning rate at the end over that at the peak, in [0, 1].
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        warmup_steps: int = 100,
        final_ratio: float = 0.1,
    ) -> None:
        is_a(self, "optimizer", optimizer, Optimizer)
        # Attributes, so that its state tells how it was configured.
        self.total_steps = whole(self, "total_steps", total_steps, 0, MOST_STEPS)
        self.warmup_steps = whole(self, "warmup_steps", warmup_steps, 0, MOST_STEPS)
        self.final_ratio = number(self, "final_ratio", final_ratio, 0, 1)
        super().__init__(optimizer, lambda step: self.factor(step))

    def factor(self, step: int) -> float:
        """The rate over its peak, in [0, 1]."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        decay_steps = max(self.total_steps - self.warmup_steps, 1)
        progress = min((step - self.warmup_steps) / decay_steps, 1.0)
        return self.final_ratio + (1 - self.final_ratio) * (1 + math.cos(math.pi * progress)) / 2


class WarmupInverseSqrt(LambdaLR):
    """Linear warm-up, then the peak · sqrt(warmup_steps / step), without end.

    Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, equation 3, in which
    the optimizer's rate stands for the peak, d_model^-0.5 · warmup_steps^-0.5.

    Args:
        optimizer: The optimizer.
        warmup_steps: Steps until the peak, at least 1.
    """

    def __init__(self, optimizer: Optimizer, warmup_steps: int = 100) -> None:
        is_a(self, "optimizer", optimizer, Optimizer)
        self.warmup_steps = whole(self, "warmup_steps", warmup_steps, 1, MOST_STEPS)
        super().__init__(optimizer, lambda step: self.factor(step))

    def factor(self, step: int) -> float:
        """The rate over its peak, in (0, 1]."""
        number = step + 1
        return min(number / self.warmup_steps, (self.warmup_steps / number) ** 0.5)


class GroupWarmup(LRScheduler):
    """Another schedule, with the rate of one parameter group held back at the beginning.

    The group's rate is the schedule's, times 0 for `frozen_steps` steps, then rising linearly to 1
    over `warmup_steps` steps. The schedule itself never sees the factor, so that one which goes on
    from its last rate (CosineAnnealingLR) is served as well as one that does not.

    Args:
        schedule: The schedule of all groups.
        name: The group's name; without such a group nothing is held back.
        warmup_steps: Steps until the group has the schedule's rate.
        frozen_steps: Steps before them, in which the group's parameters do not move.

    Raises:
        ValueError: On a negative number of steps.
    """

    def __init__(
        self, schedule: LRScheduler, name: str, warmup_steps: int = 0, frozen_steps: int = 0
    ) -> None:
        is_a(self, "schedule", schedule, LRScheduler)
        # Not the parent's constructor: the schedule has set up the optimizer already.
        self.schedule = schedule
        self.optimizer = schedule.optimizer
        self.warmup_steps = whole(self, "warmup_steps", warmup_steps, 0, MOST_STEPS)
        self.frozen_steps = whole(self, "frozen_steps", frozen_steps, 0, MOST_STEPS)
        self.last_epoch = 0  # torch's name for the steps taken
        self.name = is_a(self, "name", name, str)
        self._hold_back()

    def factor(self, step: int) -> float:
        """The group's rate over the schedule's, in [0, 1]."""
        if step < self.frozen_steps:
            return 0.0
        return min((step - self.frozen_steps + 1) / (self.warmup_steps + 1), 1.0)

    def step(self, epoch: int | None = None) -> None:
        for group, rate in zip(self._groups, self._full_rates, strict=True):
            group["lr"] = rate
        self.schedule.step()
        self.last_epoch += 1
        self._hold_back()

    def get_last_lr(self) -> list[float | Tensor]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        return {
            "schedule": self.schedule.state_dict(),
            "steps": self.last_epoch,
            "full_rates": self._full_rates,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.schedule.load_state_dict(state_dict["schedule"])
        self.last_epoch = state_dict["steps"]
        self._full_rates = state_dict["full_rates"]

    @property
    def _groups(self) -> list[dict[str, Any]]:
        # Looked up each time: an optimizer that loads its state makes its groups anew.
        return [group for group in self.optimizer.param_groups if group.get("name") == self.name]

    def _hold_back(self) -> None:
        self._full_rates = [group["lr"] for group in self._groups]
        for group in self._groups:
            group["lr"] = group["lr"] * self.factor(self.last_epoch)


def check_rates(optimizer: Optimizer) -> None:
    """Refuse learning rates and weight decays that are out of [0, 1e6].

    torch refuses negative ones, and takes NaN and 1e30 for numbers.

    Raises:
        ValueError: Naming the optimizer, the option and its value.
    """
    for group in optimizer.param_groups:
        for name in ("lr", "weight_decay"):
            if name in group:
                number(optimizer, name, float(group[name]), 0)


def parameter_groups(
    model: nn.Module,
    positional: nn.Module | None = None,
    positional_weight_decay: float = 0.0,
    later: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Split a model's trained parameters into named groups, leaving out empty ones.

    "decay" holds matrices, whose weight decay is the optimizer's default; "no_decay" holds biases
    and norms; "positional" holds the encoding's own.

    Args:
        model: Whose parameters.
        positional: The encoding within it; None if none is told apart.
        positional_weight_decay: Of the encoding's parameters.
        later: Names of frozen parameters that are trained later on.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad or name in later}
    own = set() if positional is None else {id(p) for p in positional.parameters()}
    rest = [p for p in trained.values() if id(p) not in own]
    groups: list[dict[str, Any]] = [
        {"name": "decay", "params": [p for p in rest if p.dim() >= 2]},
        {"name": "no_decay", "params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0},
        {
            "name": "positional",
            "params": [p for p in trained.values() if id(p) in own],
            "weight_decay": positional_weight_decay,
        },
    ]
    return [group for group in groups if group["params"]]
