"""What was measured at which step."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.diagnostics.metric_keys import parse


class History:
    """A table of numbers: a row for each step that was measured, a column for each metric key."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.columns: dict[str, list[float]] = {}

    @property
    def last_step(self) -> int:
        """The step of the last row; -1 before the first."""
        return self.steps[-1] if self.steps else -1

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add a row; a key that is missing in it, or was missing before, counts as NaN there."""
        for key in [*numbers, *self.columns]:
            self.columns.setdefault(key, [math.nan] * len(self.steps))
        self.steps.append(step)
        for key, column in self.columns.items():
            column.append(numbers.get(key, math.nan))

    def layers(self, quantity: str) -> dict[int, dict[int | None, list[float]]]:
        """Columns of a quantity by layer and by what is counted within a layer, such as heads.

        Args:
            quantity: Its name, such as "attn/entropy".
        """
        found: dict[int, dict[int | None, list[float]]] = {}
        for key, column in self.columns.items():
            of = parse(key)
            if of.quantity == quantity and of.layer is not None:
                found.setdefault(of.layer, {})[of.part] = column
        return dict(sorted(found.items()))

    def by_layer(self, quantity: str) -> Tensor:
        """The same as (layers, steps), averaged within layers."""
        layers = [list(columns.values()) for columns in self.layers(quantity).values()]
        wide = [torch.tensor(columns, dtype=torch.float32) for columns in layers]
        return torch.stack([columns.mean(dim=0) for columns in wide])

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON knows it: NaN is null."""
        return {
            "step": self.steps,
            **{
                key: [float(f"{v:.6g}") if math.isfinite(v) else None for v in column]
                for key, column in self.columns.items()
            },
        }

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"steps": self.steps, "columns": self.columns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint was."""
        self.steps = list(state["steps"])
        self.columns = {key: list(column) for key, column in state["columns"].items()}
