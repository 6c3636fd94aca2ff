"""Where a run keeps what it makes: `runs/<name>/<id>/`, never two runs in one."""

import os
import secrets
import time
from pathlib import Path

CONFIG = "config.yaml"
SUMMARY = "summary.json"
METRICS = "metrics.csv"
CHECKPOINTS = "checkpoints"
FIGURES = "figures"

# Environment variables.
RUN_DIR = "LIGHTNING_POSENC_RUN_DIR"  # tells the processes that a run starts which directory is its
SWEEP = "LIGHTNING_POSENC_SWEEP"  # name of the sweep that a run is a trial of
TRIAL = "LIGHTNING_POSENC_TRIAL"  # and the trial's number


def resume_directory(ckpt_path: Path) -> Path | None:
    """The run directory that a checkpoint belongs to, or None if it lies in none."""
    directory = ckpt_path.parent.parent
    return directory if (directory / CONFIG).is_file() else None


def choose(given: Path | None, name: str, resumes: bool) -> Path:
    """Choose a run's directory; nothing is created.

    Args:
        given: The directory that the user asked for, or None for `runs/<name>/<id>`.
        name: Name of the run's family.
        resumes: Whether the run goes on from a checkpoint, and so may go on in a used directory.

    Raises:
        ValueError: If the directory holds another run, or is a file.
    """
    if RUN_DIR in os.environ:
        return Path(os.environ[RUN_DIR])
    directory = Path("runs", name, _new_id()) if given is None else given
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"run_dir={directory} is a file: name a directory")
    if (directory / CONFIG).exists() and not resumes:
        raise ValueError(
            f"run_dir={directory} already holds a run: name another directory, or resume it with "
            f"--ckpt_path {directory / CHECKPOINTS / 'last.ckpt'}"
        )
    os.environ[RUN_DIR] = str(directory.absolute())
    return directory


def release() -> None:
    """Forget the directory, so that another run in this process chooses its own."""
    os.environ.pop(RUN_DIR, None)


def _new_id() -> str:
    # Processes that a launcher starts side by side must agree, so they take the launcher's id.
    for variable in ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"):
        if os.environ.get(variable, "none") != "none":
            return os.environ[variable]
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
