"""What is relied on of W&B's library without its promise.

Each function is one reach; tests/compat holds a canary for each, which says what broke.
"""

from pathlib import Path
from typing import Any


def update_beside_agent(config: Any, values: dict[str, Any]) -> None:
    """Add to a run's config what an agent has locked parts of.

    With `model: {parameters: …}` a sweep's agent locks all of `model`, of which an update would be
    refused. Its keys stay, in its spelling, and the others join them.

    Args:
        config: `wandb.run.config`.
        values: To be added.
    """
    config.merge_locked(values, user="lightning_posenc", _allow_val_change=True)


def earlier_id(run_dir: Path) -> str | None:
    """Give the id of the newest run of W&B that has its files in a directory; None without one."""
    runs = sorted(run_dir.glob("wandb/*run-*"), key=lambda path: path.stat().st_mtime)
    return runs[-1].name.rpartition("-")[2] if runs else None
