"""How long does an optimizer step take? Asked of a run without slowing it."""

import statistics
import time
from collections import deque
from itertools import pairwise
from typing import Any

import torch

FIRST = 5  # steps that compile, allocate and warm up
KEPT = 1000  # steps that the median is over: the last ones, so that a long run keeps few numbers


class StepTime:
    """The time from the end of an optimizer step to the end of the next one, data included.

    On CUDA the marks are events in the stream, read when training is over: nothing waits for the
    GPU, and steps that are only queued are not mistaken for fast ones.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._stretches: deque[list[Any]] = deque([[]])
        self._kept = 0

    def mark(self, device: torch.device) -> None:
        """A step has ended."""
        self._seen += 1
        if self._seen <= FIRST:
            return
        if device.type == "cuda":
            mark: Any = torch.cuda.Event(enable_timing=True)
            mark.record(torch.cuda.current_stream(device))
        else:
            mark = time.perf_counter()
        self._stretches[-1].append(mark)
        self._kept += 1
        if self._kept > 2 * KEPT:
            self._forget()

    def pause(self) -> None:
        """Something else comes between two steps: a validation, a checkpoint, another epoch."""
        if self._stretches[-1]:
            self._stretches.append([])

    def median(self) -> float | None:
        """Seconds a step, None if too few steps were timed or the GPU failed."""
        try:
            seconds = [
                _seconds(before, after)
                for stretch in self._stretches
                for before, after in pairwise(stretch)
            ]
        except RuntimeError:  # a GPU in error answers no question
            return None
        return statistics.median(seconds[-KEPT:]) if seconds else None

    def _forget(self) -> None:
        """Drop the older half of the marks."""
        while self._kept > KEPT:
            oldest = self._stretches[0]
            surplus = self._kept - KEPT
            if len(oldest) <= surplus and len(self._stretches) > 1:
                self._kept -= len(self._stretches.popleft())
            else:
                del oldest[:surplus]
                self._kept -= surplus


def _seconds(before: Any, after: Any) -> float:
    if isinstance(before, float):
        return after - before
    after.synchronize()
    return before.elapsed_time(after) / 1000
