"""Where a model runs, and in which precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from lightning_posenc.mistakes.one_line import did_you_mean

DTYPES = {"64": torch.float64, "32": torch.float32, "16": torch.float16, "bf16": torch.bfloat16}
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true")


def device_of(named: str | torch.device | None) -> torch.device:
    """A device by its name; None for a GPU, if there is one.

    Raises:
        ValueError: If there is no such device.
    """
    if named is None:
        kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        return torch.device(next((kind for kind, there in kinds.items() if there), "cpu"))
    try:
        device = torch.device("cuda" if named == "gpu" else named)
        torch.empty(1, device=device).item()  # of "meta" there is none
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device={named}: there is none here: give {' or '.join(_devices())}"
        ) from error
    return device


def _devices() -> list[str]:
    """The devices of this machine, by name."""
    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def placed(module: nn.Module, device: torch.device, precision: str | None) -> str:
    """Move a model, and give it a precision, by Lightning's names.

    Args:
        module: Changed.
        device: Where to.
        precision: One of `PRECISIONS`, or its beginning (32, 16, bf16); None for that which it has.

    Returns:
        The precision's whole name.

    Raises:
        ValueError: If there is none of that name.
    """
    module.to(device)
    if precision is None:
        return "32-true"
    short = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed", "64": "64-true"}
    name = short.get(str(precision), str(precision))
    if name not in PRECISIONS:
        hint = did_you_mean(name, PRECISIONS, f"give one of {', '.join(PRECISIONS)}")
        raise ValueError(f"precision={precision}: no such precision: {hint}")
    bits, _, kind = name.partition("-")
    if kind == "true":
        module.to(DTYPES[bits])
    return name


def running(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """What a model of that precision runs within."""
    bits, _, kind = precision.partition("-")
    if kind != "mixed":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[bits])
