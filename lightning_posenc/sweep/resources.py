"""What this machine has for trials: cores and GPUs."""

import os
import shutil
import subprocess

VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpus() -> list[str]:
    """Names of the NVIDIA GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them.

    Neither torch nor CUDA is asked, so that no memory of a GPU is taken by the sweep itself.
    """
    if (given := os.environ.get(VISIBLE)) is not None:
        return [name for name in given.split(",") if name.strip() not in ("", "-1")]
    if (query := shutil.which("nvidia-smi")) is None:
        return []
    found = subprocess.run(
        [query, "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True
    )
    return found.stdout.split() if found.returncode == 0 else []


def environment(slot: int, threads: int, devices: list[str]) -> dict[str, str]:
    """Variables of the trial in a slot.

    Args:
        slot: From 0 to the number of trials at once.
        threads: That it may use; OMP_NUM_THREADS beats it.
        devices: Names of the GPUs; where there are several, the trial sees one of them.
    """
    variables = {**os.environ}
    variables.setdefault(THREADS, str(threads))
    if len(devices) > 1:
        variables[VISIBLE] = devices[slot % len(devices)]
    return variables
