"""The one process that keeps what a run makes."""

import lightning as L


def is_writer(trainer: L.Trainer) -> bool:
    """Whether this process is the one of its run that writes results; none is in a fast dev run."""
    return trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False)
