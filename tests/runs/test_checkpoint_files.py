"""A checkpoint is whole or absent, whatever happens while it is written or afterwards."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.runs.checkpoint_files import (
    WholeCheckpointIO,
    fault,
    newest,
    read,
    remove_unfinished,
)
from lightning_posenc.training.resuming.same_checkpoint import SameCheckpoint


def contents(step: int, **more: Any) -> dict[str, Any]:
    weights = torch.full((1000,), float(step))
    return {"global_step": step, "loops": {}, "optimizer_states": [], "weights": weights, **more}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """A folder with a checkpoint of step 1 and a newer one of step 2."""
    for step in (1, 2):
        path = tmp_path / "checkpoints" / f"{step}.ckpt"
        WholeCheckpointIO().save_checkpoint(contents(step), path)
        os.utime(path, (step, step))
    return tmp_path / "checkpoints"


class Deadly:
    """Kills the process, or fails, when a checkpoint that holds it is written."""

    def __init__(self, kills: bool) -> None:
        self.kills = kills

    def __reduce__(self) -> Any:
        if self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError("no space left")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_while_it_is_written(checkpoints: Path) -> None:
    last = checkpoints / "2.ckpt"
    process = os.fork()
    if process == 0:
        WholeCheckpointIO().save_checkpoint(contents(3, end=Deadly(kills=True)), last)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    (unfinished,) = checkpoints.glob("*.unfinished")
    assert newest(checkpoints.parent) == last
    assert read(last)["global_step"] == 2
    remove_unfinished(checkpoints.parent)
    assert not unfinished.exists()


def test_what_a_killed_process_left_of_a_run_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in ("summary.json", "trial.json.7.unfinished")]
    left = [tmp_path / name for name in ("summary.json.7.unfinished", "metrics.csv.7.unfinished")]
    for path in (*kept, *left):
        path.touch()
    remove_unfinished(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_failure_leaves_the_former_checkpoint_alone(checkpoints: Path) -> None:
    last = checkpoints / "2.ckpt"
    with pytest.raises(OSError, match="no space left"):
        WholeCheckpointIO().save_checkpoint(contents(3, end=Deadly(kills=False)), last)
    assert read(last)["global_step"] == 2
    assert sorted(path.name for path in checkpoints.iterdir()) == ["1.ckpt", "2.ckpt"]


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_a_hole(data: bytes) -> bytes:
    middle = data.index(torch.full((8,), 2.0).numpy().tobytes())
    return data[:middle] + bytes(64) + data[middle + 64 :]


@pytest.mark.parametrize(
    "damage", [truncated, with_a_hole, lambda _: b"", lambda _: b"<html>"],
    ids=["truncated", "hole", "empty", "not a checkpoint"],
)  # fmt: skip
def test_a_damaged_one_is_passed_by(
    checkpoints: Path, damage: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    last = checkpoints / "2.ckpt"
    last.write_bytes(damage(last.read_bytes()))
    assert newest(checkpoints.parent) == checkpoints / "1.ckpt"
    (warning,) = capsys.readouterr().err.splitlines()
    assert str(last) in warning
    (checkpoints / "1.ckpt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds no checkpoint to go on from: .*remove them"):
        newest(checkpoints.parent)


def test_weights_alone_are_no_start(checkpoints: Path) -> None:
    weights = checkpoints / "weights.ckpt"
    torch.save({"global_step": 3, "loops": {}, "state_dict": {}}, weights)
    assert fault(weights) == "it holds weights only"
    assert newest(checkpoints.parent) == checkpoints / "2.ckpt"


def test_shards_count_when_all_are_written(checkpoints: Path) -> None:
    shards = checkpoints / "sharded.ckpt"
    shards.mkdir()
    (shards / "__0_0.distcp").write_bytes(b"half")
    assert newest(checkpoints.parent) == checkpoints / "2.ckpt"
    torch.save({"global_step": 3, "loops": {}}, shards / "meta.pt")
    assert newest(checkpoints.parent) == shards
    assert read(shards)["global_step"] == 3


def test_a_run_without_checkpoints_starts_from_the_beginning(tmp_path: Path) -> None:
    assert newest(tmp_path) is None


def test_ranks_that_found_different_checkpoints_do_not_train() -> None:
    class Strategy:
        def broadcast(self, ours: object) -> str:
            return "shared/last.ckpt"

    class Trainer:
        strategy = Strategy()
        global_rank = 1

    trainer: Any = Trainer()
    SameCheckpoint(Path("shared/last.ckpt")).setup(trainer, trainer, "fit")
    with pytest.raises(ValueError, match=r"rank 1 goes on from no checkpoint, rank 0 from shared"):
        SameCheckpoint(None).setup(trainer, trainer, "fit")
