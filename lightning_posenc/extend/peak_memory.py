"""The most memory that this process held while something ran."""

from contextlib import suppress
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_FORGET = Path("/proc/self/clear_refs")  # 5: the peak begins anew (proc(5))


class PeakMemory:
    """Counts from the moment it is made: of CUDA what tensors took there, else the whole process.

    Args:
        device: Where the model is.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.counts = True
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        try:
            _FORGET.write_text("5")
        except OSError:  # not Linux, or not allowed
            self.counts = False

    def mb(self) -> float | None:
        """Megabytes, 2^20 bytes each; None where the system does not tell."""
        if self.device.type == "cuda":
            return round(torch.cuda.max_memory_allocated(self.device) / 2**20, 1)
        if self.counts:
            with suppress(OSError, StopIteration, ValueError):
                lines = _STATUS.read_text().splitlines()
                line = next(line for line in lines if line.startswith("VmHWM:"))
                return round(int(line.split()[1]) / 1024, 1)
        return None
