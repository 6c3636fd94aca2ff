"""Where a run keeps what it makes: `runs/<name>/<id>/`, never two runs in one.

A directory is taken by a lock for the life of the process that writes there, rank 0, and nothing in
it depends on where it lies.
"""

import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from lightning_posenc.runs.locks import Lock, Taken

CONFIG = "config.yaml"
SUMMARY = "summary.json"
METRICS = "metrics.csv"
CHECKPOINTS = "checkpoints"
FIGURES = "figures"
DIAGNOSIS = "diagnosis"  # stem of what the doctor writes
LAST = "last.ckpt"  # of the checkpoints, the newest
_LOCK = ".lock"  # held as long as the run lives, and removed when it ends

# Environment variables.
RUN_DIR = "LIGHTNING_POSENC_RUN_DIR"  # tells the processes that a run starts which directory is its
SWEEP = "LIGHTNING_POSENC_SWEEP"  # name of the sweep that a run is a trial of
TRIAL = "LIGHTNING_POSENC_TRIAL"  # and the trial's number
SEEDS = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")  # Lightning's, of which a program's next run is free


def resume_directory(ckpt_path: Path) -> Path | None:
    """The run directory that a checkpoint belongs to, or None if it lies in none."""
    directory = ckpt_path.parent.parent
    return directory if (directory / CONFIG).is_file() else None


def choose(given: Path | None, name: str, resumes: bool) -> Path:
    """Choose a run's directory, and take it until `release`.

    Ranks agree without a word: each takes the first directory that holds no run yet.

    Args:
        given: The directory that the user asked for, or None for `runs/<name>/<id>`.
        name: Name of the run's family.
        resumes: Whether the run goes on from a checkpoint, and so may go on in a used directory.

    Raises:
        ValueError: If the directory holds another run, is a file, or another process works there;
            or the name leads out of `runs/`.
        OSError: If it cannot be made.
    """
    global _told
    told = os.environ.get(RUN_DIR)
    _told = bool(told)
    if told:
        if given is not None and _real(given) != _real(Path(told)):
            raise ValueError(
                f"--run_dir={given}, but the environment says {RUN_DIR}={told}: unset that variable"
            )
        given = Path(told)
        if not _is_first():  # rank 0 started this process, and has looked
            return given
    if given is not None:
        _check(given, resumes)
        _take(given)
        directory = given
    else:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"name={name} leads out of runs/: use letters, digits, _ and -")
        directory = _take_first_free(Path("runs", name))
    if not told:
        os.environ[RUN_DIR] = str(directory.absolute())
    return directory


@contextmanager
def side_by_side(directories: Sequence[Path]) -> Iterator[None]:
    """Take several directories that hold no run yet, for runs that one process trains together.

    Raises:
        ValueError: As `choose` does.
    """
    with ExitStack() as taken:
        for directory in directories:
            _check(directory, resumes=False)
            directory.mkdir(parents=True, exist_ok=True)
            try:
                lock = Lock(directory / _LOCK)
            except Taken:
                raise ValueError(_taken(directory)) from None
            taken.callback(lock.release, remove=True)
        yield


@contextmanager
def alone() -> Iterator[None]:
    """Within, a run has this process, whose directory and environment are for one at a time; at the
    end it leaves its directory, and Lightning's seeds in the environment are as they were.

    Raises:
        ValueError: If another run has it, in a thread or around this one.
    """
    if not _running.acquire(blocking=False):
        raise ValueError(
            "another run goes on in this process: wait for its end, or give each run a process of "
            "its own, as sweep does"
        )
    before = {name: os.environ.get(name) for name in SEEDS}
    try:
        yield
    finally:
        release()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        _running.release()


def checkpoints(directory: Path) -> list[Path]:
    """All that lies among a run's checkpoints and is called one."""
    return list((directory / CHECKPOINTS).rglob("*.ckpt"))


def forget(spare_metrics: bool = False) -> None:
    """Remove what a run wrote that ended by a mistake before it had anything to tell, if it began
    here, so that the mended command finds its directory free. A sweep's trial keeps its record.

    Args:
        spare_metrics: Whether metrics are something to tell, as checkpoints are.
    """
    if _lock is None or not _began or _told:
        return
    directory = _lock.path.parent
    metrics = directory / METRICS
    told = spare_metrics and metrics.exists() and metrics.stat().st_size
    if told or checkpoints(directory):
        return
    for name in (CONFIG, SUMMARY, METRICS):
        (directory / name).unlink(missing_ok=True)
    for name in (CHECKPOINTS, FIGURES):
        with suppress(OSError):
            (directory / name).rmdir()


def release() -> None:
    """Leave the directory, so that another run may have it, and one in this process chooses its
    own. What was made for a run that left nothing in it is removed.
    """
    global _lock, _made, _told
    if not _told:
        os.environ.pop(RUN_DIR, None)
    if _lock is not None:
        _lock.release(remove=True)
        for directory in reversed(_made):
            try:
                directory.rmdir()
            except OSError:  # it is in use
                break
    _lock, _made, _told = None, [], False


def how_to_go_on(directory: Path) -> str:
    """What to add to a command that wants to go on with the run of a directory."""
    if (directory / CHECKPOINTS / LAST).exists():
        return f"--ckpt_path {directory / CHECKPOINTS / LAST}"
    if checkpoints(directory):
        return f"--ckpt_path {directory}"
    return f"--run_dir {directory} --ckpt_path last"


_running = threading.Lock()
_lock: Lock | None = None
_made: list[Path] = []  # directories that were not there, from above
_began = False  # whether the directory held no run
_told = False  # whether the environment named the directory


def _check(directory: Path, resumes: bool) -> None:
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"run_dir={directory} is a file: name a directory")
    if (directory / CONFIG).exists() and not resumes:
        begun = "go on with it by" if checkpoints(directory) else "begin it"
        begun += "" if begun.endswith("by") else " again, for it has no checkpoint, by"
        raise ValueError(
            f"run_dir={directory} already holds a run: name another directory, or {begun} "
            f"{how_to_go_on(directory)}"
        )


def _take(directory: Path) -> None:
    """Make a directory and lock it.

    Raises:
        ValueError: If another process has locked it.
    """
    global _lock, _made, _began
    if not _is_first():
        return
    made = _missing(directory)
    _began = not (directory / CONFIG).exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _lock = Lock(directory / _LOCK)
    except Taken:
        raise ValueError(_taken(directory)) from None
    except BaseException:
        for each in reversed(made):
            with suppress(OSError):  # it was not reached
                each.rmdir()
        raise
    _made = made


def _taken(directory: Path) -> str:
    return (
        f"run_dir={directory}: another process trains or tests there: wait for it, or name another "
        "directory"
    )


def _take_first_free(family: Path) -> Path:
    """Take the first of a family's directories that holds no run, and where none works."""
    for name in _names():
        directory = family / name
        if (directory / CONFIG).exists():
            continue
        try:
            _take(directory)
        except ValueError:
            continue
        return directory
    raise AssertionError("names never end")


def _missing(directory: Path) -> list[Path]:
    """The directories that are to be made for this one to exist, from above."""
    found = []
    for each in (directory, *directory.parents):
        if each.exists():
            break
        found.append(each)
    return found[::-1]


def _names() -> Iterator[str]:
    """Names for a run, in the order in which they are to be tried."""
    job = _job()
    if job is None:
        while True:
            yield f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    yield job
    for number in count(2):
        yield f"{job}-{number}"


def _job() -> str | None:
    """An id that processes which a launcher starts side by side agree on: the launcher's."""
    torchrun = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if torchrun != "none":
        return torchrun
    job = os.environ.get("SLURM_JOB_ID")
    step = os.environ.get("SLURM_STEP_ID", "0")
    # The steps of a job may run at the same time; its first one stands for the job.
    return f"{job}-step{step}" if job and step.isdecimal() and int(step) > 0 else job


def _is_first() -> bool:
    """Whether this process is rank 0 of its run, before any group is formed."""
    if "RANK" in os.environ:
        ranks = [os.environ["RANK"]]
    else:  # Lightning starts the processes of each node, or Slurm all
        names = ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
        ranks = [os.environ.get(name, "0") for name in names]
    return all(rank == "0" for rank in ranks)


def _real(path: Path) -> Path:
    return path.absolute().resolve()
