"""Metrics that keep count in wide numbers, whatever the precision of the model.

A sum in bfloat16 stops growing at 256 terms of equal size.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric


@contextmanager
def wide_by_default() -> Iterator[None]:
    """Within, a tensor that is made without a dtype is float32, or float64 if it was to be that.

    Lightning's half precision makes half precision torch's default during every step.
    """
    given = torch.get_default_dtype()
    torch.set_default_dtype(torch.promote_types(given, torch.float32))
    try:
        yield
    finally:
        torch.set_default_dtype(given)


class WideMetrics(nn.ModuleDict):
    """Metrics by name, which move between devices as modules do and never change their dtype.

    Args:
        make: Makes them; their states start in float32 at least.
        device: Where they live.

    Raises:
        ValueError: If a metric asks for a state in half precision by itself.
    """

    def __init__(self, make: Callable[[], Mapping[str, Metric]], device: torch.device) -> None:
        with wide_by_default(), torch.inference_mode(False):
            super().__init__({name: metric.to(device) for name, metric in make().items()})
        for name, metric in self.named():
            for state, value in metric.metric_state.items():
                if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
                    raise ValueError(
                        f"metric {name}: its state {state} is {value.dtype}, in which sums stop "
                        "growing: give add_state a default in float32"
                    )

    def named(self) -> Iterator[tuple[str, Metric]]:
        """Names and metrics."""
        for name, metric in self.items():
            yield name, cast(Metric, metric)

    def compute(self) -> dict[str, Tensor]:
        """Their values, reduced over ranks by torchmetrics itself."""
        with wide_by_default():
            return {name: metric.compute() for name, metric in self.named()}

    def reset(self) -> None:
        """Start counting anew."""
        # Lightning validates in inference mode, but not within a fit: states serve in both.
        with torch.inference_mode(False):
            for _, metric in self.named():
                metric.reset()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # What .to(), .bfloat16(), .cuda() … call: torchmetrics lets .to(dtype) through.
        with wide_by_default():
            for _, metric in self.named():
                metric.to(fn(torch.empty(0, device=metric.device)).device)
        return self
