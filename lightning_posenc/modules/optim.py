"""Optimizer groups and the learning-rate schedule."""

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

OptimizerFactory: TypeAlias = Callable[[Iterable], Optimizer]
ScheduleFactory: TypeAlias = Callable[[Optimizer, int], LRScheduler]


class WarmupCosine(LambdaLR):
    """Linear warm-up, then half a cosine down to `final_ratio` of the peak, stepped per step.

    Args:
        optimizer: The optimizer.
        total_steps: Steps of the whole run.
        warmup_steps: Steps until the peak.
        final_ratio: Learning rate at the end over that at the peak, in [0, 1].
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        warmup_steps: int = 100,
        final_ratio: float = 0.1,
    ) -> None:
        decay_steps = max(total_steps - warmup_steps, 1)

        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / (warmup_steps + 1)
            progress = min((step - warmup_steps) / decay_steps, 1.0)
            return final_ratio + (1 - final_ratio) * (1 + math.cos(math.pi * progress)) / 2

        super().__init__(optimizer, factor)


def parameter_groups(
    model: nn.Module, positional: nn.Module, positional_weight_decay: float
) -> list[dict[str, Any]]:
    """Split a model's trained parameters into named groups, leaving out empty ones.

    "decay" holds matrices, whose weight decay is the optimizer's default; "no_decay" holds biases
    and norms; "positional" holds the encoding's own.
    """
    own = {id(parameter) for parameter in positional.parameters()}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
    groups: list[dict[str, Any]] = [
        {"name": "decay", "params": [p for p in rest if p.dim() >= 2]},
        {"name": "no_decay", "params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0},
        {
            "name": "positional",
            "params": [p for p in positional.parameters() if p.requires_grad],
            "weight_decay": positional_weight_decay,
        },
    ]
    return [group for group in groups if group["params"]]
