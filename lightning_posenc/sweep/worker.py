"""What happens in the process of a trial.

It must not import anything heavy: a trial of another program needs none of it.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from io import TextIOWrapper
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from lightning_posenc.runs.locks import Lock


@dataclass(frozen=True)
class Job:
    """What a trial's process is to do.

    Args:
        command: To run, if it is another program's.
        fits: Arguments after `fit`, if the command is this package's own; of several runs, that are
            to be trained as one. Empty if it is another's.
        log: File that takes all output.
        lock: File that the process holds a shared lock on as long as it or its program lives.
        directory: To work in.
        environment: Its variables, all of them.
        threads: That torch may use.
    """

    command: list[str]
    fits: list[list[str]]
    log: Path
    lock: Path
    directory: Path
    environment: dict[str, str]
    threads: int


def work(job: Job) -> None:
    """Do a job, and exit as it did."""
    os.setsid()  # a group of its own: Ctrl-C is the sweep's business, and the group ends as one
    threading.Thread(target=_die_with_the_sweep, daemon=True).start()
    lock = Lock(job.lock, shared=True, wait=True)
    _redirect(job.log)
    os.chdir(job.directory)
    os.environ.clear()
    os.environ.update(job.environment)
    if not job.fits:
        _exit_as(_run(job.command, lock.descriptor))
    sys.argv = job.command
    from lightning_posenc.sweep import in_process_fit

    if len(job.fits) > 1:
        sys.exit(in_process_fit.train_together(job.fits, job.threads))
    sys.exit(in_process_fit.train(job.fits[0], job.threads))


def check(args: list[str], answer: Connection, directory: Path) -> None:
    """Send what is wrong with arguments of `fit`, or None."""
    os.setsid()
    threading.Thread(target=_die_with_the_sweep, daemon=True).start()
    os.chdir(directory)
    from lightning_posenc.sweep import in_process_fit

    answer.send(in_process_fit.parse(args))


def _die_with_the_sweep() -> None:
    """A sweep killed by -9 must not leave trials that collide with its restart."""
    sweep = multiprocessing.parent_process()
    assert sweep is not None
    sweep.join()
    os.killpg(0, signal.SIGKILL)


def _redirect(log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        os.dup2(file, number)
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(line_buffering=True)
    os.close(file)


def _run(command: list[str], lock: int) -> int:
    """Run another program; its exit code, negative if a signal ended it."""
    asked_to_stop = False

    def forward(number: int, frame: Any) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True
        if process is not None:
            process.terminate()

    process: subprocess.Popen[bytes] | None = None
    signal.signal(signal.SIGTERM, forward)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(lock,))
    except OSError as error:
        print(f"error: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    if asked_to_stop:
        process.terminate()
    return process.wait()


def _exit_as(code: int) -> NoReturn:
    sys.stdout.flush()
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
