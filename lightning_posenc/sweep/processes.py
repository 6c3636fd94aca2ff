"""Processes for trials, forked from a server that has imported what they need.

The server imports, and does nothing else: it never touches a GPU, so that every trial initialises
CUDA by itself.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

from lightning_posenc.sweep import worker
from lightning_posenc.sweep.worker import Job

GRACE = 30.0  # seconds from SIGTERM to SIGKILL, as W&B's agent has it

_CONTEXT = multiprocessing.get_context("forkserver")


def preload(own: bool) -> None:
    """Say what the server is to import when it starts, at the first process.

    Args:
        own: Whether trials run this package's `fit`.
    """
    # So that a look at how many GPUs there are cannot initialise CUDA in the server.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    heavy = ["lightning_posenc.sweep.in_process_fit"] if own else []
    _CONTEXT.set_forkserver_preload(["lightning_posenc.sweep.worker", *heavy])


def complaint(fit: list[str]) -> str | None:
    """What is wrong with arguments of `fit`, or None; nothing is trained."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=worker.check, args=(fit, sender, Path.cwd()))
    _start(process)
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        return "the process that parses arguments died"
    finally:
        receiver.close()
        process.join()


def _start(process: BaseProcess) -> None:
    """Start a process that does not run the caller's script once more.

    multiprocessing would, to find what the script defines: a script without a guard of `__main__`
    would begin its sweep again in each. All that is run here lies in modules.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = script


class TrialProcess:
    """The process of a running trial.

    Args:
        job: What it does.
    """

    def __init__(self, job: Job) -> None:
        self.began = time.monotonic()
        self.stopped = False
        self._deadline = float("inf")
        self._process = _CONTEXT.Process(target=worker.work, args=(job,))
        _start(self._process)

    def poll(self) -> int | None:
        """Its exit code, negative if a signal ended it; None while it runs."""
        code = self._process.exitcode
        if code is None and time.monotonic() > self._deadline:
            self.kill()
        elif code is not None:
            self._kill_group()  # what it may have started and left behind
        return code

    def stop(self) -> None:
        """Ask it to end; if it has not after a while, it is killed."""
        if not self.stopped:
            self.stopped = True
            self._deadline = time.monotonic() + GRACE
            self._process.terminate()

    def kill(self) -> None:
        """End it at once, and all that it started."""
        self._kill_group()
        self._process.kill()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        self._process.join(timeout)

    def _kill_group(self) -> None:
        assert self._process.pid is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def sentinel(self) -> int:
        """Becomes ready when it ends."""
        return self._process.sentinel


def wait(processes: Iterable[TrialProcess], timeout: float) -> None:
    """Wait until a process ends, or for some seconds."""
    connection.wait([process.sentinel for process in processes], timeout)
