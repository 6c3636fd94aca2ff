"""Synthetic tasks that need order: pure generators, with what can be reached without it."""

from lightning_posenc.tasks.base import IGNORE, Sample, Task, generate
from lightning_posenc.tasks.copy import Copy
from lightning_posenc.tasks.draws import Draws
from lightning_posenc.tasks.order import Order
from lightning_posenc.tasks.position_pattern import PositionPattern
from lightning_posenc.tasks.reverse import Reverse
from lightning_posenc.tasks.shift import Shift

__all__ = [
    "IGNORE",
    "Copy",
    "Draws",
    "Order",
    "PositionPattern",
    "Reverse",
    "Sample",
    "Shift",
    "Task",
    "generate",
]
