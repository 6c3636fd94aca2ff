"""A run that was moved, copied or branched knows which checkpoints are its own."""

from pathlib import Path
from typing import Any

import lightning as L

from lightning_posenc.runs.run_directory import CHECKPOINTS

_PATHS = ("dirpath", "best_model_path", "kth_best_model_path", "last_model_path")


class MovedRun(L.Callback):
    """Puts right where a checkpoint says that its run keeps the others, before anyone believes it.

    Lightning stores absolute paths, and forgets the best checkpoint of a run whose directory has
    another name. A run that goes on where its checkpoint lies is told its present place. One that
    begins anew from another run's checkpoint has no best one yet, and removes none of the other's.

    Args:
        ckpt_path: The checkpoint that the run goes on from, if there is one.
    """

    def __init__(self, ckpt_path: Path | str | None) -> None:
        self.ckpt_path = None if ckpt_path is None else Path(ckpt_path)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        states = checkpoint.get("callbacks") or {}
        kept = {key: state for key, state in states.items() if _is_of_checkpoints(state)}
        homes = {str(state["dirpath"]) for state in kept.values()}
        before = min((home for home in homes if Path(home).name == CHECKPOINTS), default=None)
        if self.ckpt_path is None or before is None:
            return
        now = Path(trainer.default_root_dir, CHECKPOINTS).resolve()
        if now in self.ckpt_path.resolve().parents:
            for state in kept.values():
                state.update(_moved(state, before, str(now)))
        else:
            for key, state in kept.items():
                if _is_within(str(state["dirpath"]), before):
                    del states[key]


def _is_of_checkpoints(state: Any) -> bool:
    return isinstance(state, dict) and state.keys() >= {*_PATHS, "best_k_models"}


def _moved(state: dict[str, Any], before: str, now: str) -> dict[str, Any]:
    def moved(path: Any) -> Any:
        there = isinstance(path, str) and _is_within(path, before)
        return now + path[len(before) :] if there else path

    best = {moved(path): score for path, score in state["best_k_models"].items()}
    return {**{name: moved(state[name]) for name in _PATHS}, "best_k_models": best}


def _is_within(path: str, folder: str) -> bool:
    return Path(folder) in (Path(path), *Path(path).parents)
