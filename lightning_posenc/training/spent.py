"""What training costs: seconds, tokens, operations, and energy where it can be read."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lightning_posenc.callbacks.probing import isolated
from lightning_posenc.data.batch import Batch, are_ids

FORWARD_AND_BACKWARD = 3  # a backward pass makes two matrix products for each of the forward pass
LONGEST = 2048
"""Entries of a sequence whose operations are counted: all T × T logits are written out."""


class Spent:
    """Counts from the start of training, over restarts too: a checkpoint holds what was spent
    before it.
    """

    def __init__(self) -> None:
        self._seconds = self._tokens = self._numbers = self._joules = 0.0
        self._begun: float | None = None
        self._meter: Callable[[], float] | None = None
        self._met = 0.0
        self._last: Batch | None = None
        self._flops: float | None = None
        self._known = True

    def start(self, device: torch.device) -> None:
        """Training starts or goes on."""
        self._begun = time.monotonic()
        self._meter = energy_meter(device)
        self._met = self._meter() if self._meter else 0.0

    def add(self, batch: Any, world_size: int) -> None:
        """Count a batch of this rank, padding included; others' are as large."""
        if not isinstance(batch, Batch):
            return
        self._numbers += batch.tokens.numel() * world_size
        if are_ids(batch.tokens):
            self._tokens += batch.tokens.numel() * world_size
        self._last = batch

    def end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Training is over: count the operations of one sequence, for all."""
        self._settle()
        batch, self._last = self._last, None
        if batch is None or not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
            return  # a sharded model runs on all ranks or on none
        if batch.tokens.shape[1] > LONGEST:
            return  # it might take more memory than training did
        one = batch.first(1)
        flops = forward_flops(trainer, module, one.to(module.device))
        if flops:
            self._flops = FORWARD_AND_BACKWARD * flops / one.tokens.numel() * self._numbers

    def state(self) -> dict[str, float] | None:
        """What a checkpoint keeps."""
        if not self._known:
            return None
        self._settle()
        return {"seconds": self._seconds, "tokens": self._tokens, "numbers": self._numbers,
                "joules": self._joules}  # fmt: skip

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Go on from what a checkpoint kept; with None of one that kept nothing, nobody knows what
        the whole run takes.
        """
        if state is None:
            self._known = False
            return
        values = (float(state.get(key, 0.0)) for key in ("seconds", "tokens", "numbers", "joules"))
        self._seconds, self._tokens, self._numbers, self._joules = values

    def found(self) -> dict[str, float]:
        """What the summary says; nothing of what nobody knows."""
        if not self._known:
            return {}
        values = {
            "train_seconds": round(self._seconds, 3),
            "train_tokens": int(self._tokens),
            "train_flops": self._flops,
            "train_joules": round(self._joules, 3),
        }
        return {key: value for key, value in values.items() if value}

    def _settle(self) -> None:
        """Add what has passed since the last time."""
        if self._begun is None:
            return
        now = time.monotonic()
        self._seconds += now - self._begun
        self._begun = now
        if self._meter:
            met = self._meter()
            self._joules += met - self._met
            self._met = met


def forward_flops(trainer: L.Trainer, module: L.LightningModule, batch: Batch) -> float | None:
    """Count the floating-point operations of the matrix products of a forward pass.

    Args:
        trainer: In whose precision it is run.
        module: The model, which is left as it was.
        batch: Its sequences.

    Returns:
        None where the module does not score batches of this package, or cannot be run so.
    """
    score: Callable[..., Any] | None = getattr(module, "score", None)
    if score is None:
        return None
    counter = FlopCounterMode(display=False)
    try:
        # Fused attention is not counted everywhere; its plain form is.
        with isolated(trainer, module), torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            score(batch, 0)
    except Exception:  # whatever a stranger's model does: an estimate must not fail a run
        return None
    return float(counter.get_total_flops())


def energy_meter(device: torch.device) -> Callable[[], float] | None:
    """Give a function that reads the joules that a GPU has taken so far; None where that cannot be
    read: it needs an NVIDIA GPU and the package nvidia-ml-py.
    """
    if device.type != "cuda":
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(device).uuid)
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # no package, no driver, an old GPU: NVML's errors share no class of Python's
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
