"""A lock keeps others out as long as its process lives, and no longer (B6, G5)."""

import os
from pathlib import Path

import pytest

from lightning_posenc.runs.locks import Lock, Taken


def test_one_holds_it_or_several_share_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = Lock(path)
    for shared in (False, True):
        with pytest.raises(Taken):
            Lock(path, shared=shared)
    lock.release()
    lock.release()
    first, second = Lock(path, shared=True), Lock(path, shared=True)
    with pytest.raises(Taken):
        Lock(path)
    first.release()
    second.release(remove=True)
    assert not path.exists()


def test_a_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    (tmp_path / "lock").unlink()
    other = Lock(tmp_path / "lock")  # of the new file, which another process would find
    lock.release(remove=True)  # leaves the other's
    assert (tmp_path / "lock").exists()
    with pytest.raises(Taken):
        Lock(tmp_path / "lock")
    other.release(remove=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_worker_that_outlives_its_run_keeps_nobody_out(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    (is_up, up), (may_end, end) = os.pipe(), os.pipe()
    worker = os.fork()
    if worker == 0:
        os.close(end)
        os.write(up, b"x")
        os.read(may_end, 1)
        os._exit(0)
    os.read(is_up, 1)
    os.close(lock.descriptor)  # as the end of the run's process does, however it ends
    lock.descriptor = -1
    Lock(tmp_path / "lock").release()
    for descriptor in (end, up, is_up, may_end):
        os.close(descriptor)
    os.waitpid(worker, 0)
