"""Which directory a run takes, and when another may have it."""

from pathlib import Path

import pytest

from lightning_posenc.runs import run_directory
from lightning_posenc.runs.locks import Lock


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (run_directory.RUN_DIR, "SLURM_JOB_ID", "SLURM_STEP_ID", "TORCHELASTIC_RUN_ID",
                 "RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


def taken(given: Path | None = None, resumes: bool = False) -> str:
    """Choose a directory as a run does that then keeps its config there."""
    directory = run_directory.choose(given, "name", resumes)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / run_directory.CONFIG).touch()
    run_directory.release()
    return directory.name


@pytest.mark.parametrize("variable", ["SLURM_JOB_ID", "TORCHELASTIC_RUN_ID"])
def test_runs_of_one_job_have_a_directory_each(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B24."""
    monkeypatch.setenv(variable, "77")
    assert [taken() for _ in range(3)] == ["77", "77-2", "77-3"]
    monkeypatch.setenv("RANK", "1")  # another rank of the next run, which takes nothing
    assert run_directory.choose(None, "name", False).name == "77-4"
    run_directory.release()
    monkeypatch.setenv("RANK", "0")
    assert taken() == "77-4"


def test_runs_of_one_job_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """B24: the first has not written its config yet."""
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    Path("runs/name/77").mkdir(parents=True)
    lock = Lock(Path("runs/name/77/.lock"))
    assert taken() == "77-2"
    lock.release()
    monkeypatch.setenv("SLURM_STEP_ID", "1")  # of srun: its ranks must agree on another name
    assert taken() == "77-step1"


def test_a_directory_is_taken_until_it_is_released() -> None:
    """B6, G5; a second run is refused before it has written a thing."""
    lock = Lock(Path(".lock"))
    for resumes in (False, True):
        with pytest.raises(ValueError, match="another process trains or tests there"):
            run_directory.choose(Path(), "name", resumes)
    lock.release(remove=True)
    run_directory.release()
    run_directory.choose(Path("a/b/run"), "name", False)
    assert Path("a/b/run/.lock").exists()
    run_directory.release()
    assert not Path("a").exists()  # nothing came of it


def test_what_began_by_mistake_leaves_its_directory_free() -> None:
    run_directory.choose(Path("run"), "name", False)
    Path("run/config.yaml").touch()
    Path("run/checkpoints").mkdir()
    run_directory.forget()
    run_directory.release()
    assert not Path("run").exists()
    assert taken(Path("run")) == "run"
    run_directory.choose(Path("run"), "name", True)
    run_directory.forget()  # it was there before
    run_directory.release()
    assert Path("run/config.yaml").exists()


def test_the_environment_and_the_option_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """G13: the variable once beat the option without a word, and the run that lay there."""
    Path("old").mkdir()
    Path("old/config.yaml").touch()
    monkeypatch.setenv(run_directory.RUN_DIR, str(Path("old").absolute()))
    with pytest.raises(ValueError, match=f"--run_dir=new, but .* {run_directory.RUN_DIR}="):
        run_directory.choose(Path("new"), "name", False)
    with pytest.raises(ValueError, match="already holds a run"):
        run_directory.choose(None, "name", False)
    monkeypatch.setenv("LOCAL_RANK", "1")  # a rank that Lightning started
    assert run_directory.choose(Path("old"), "name", False) == Path("old").absolute()
    run_directory.release()


def test_hints_name_what_is_there() -> None:
    """B15: a hint once named a last.ckpt that was not there."""
    Path("run/checkpoints").mkdir(parents=True)
    Path("run/config.yaml").touch()
    with pytest.raises(ValueError, match="no checkpoint, by --run_dir run --ckpt_path last"):
        run_directory.choose(Path("run"), "name", False)
    Path("run/checkpoints/mine.ckpt").touch()
    with pytest.raises(ValueError, match=r"go on with it by --ckpt_path run$"):
        run_directory.choose(Path("run"), "name", False)
    Path("run/checkpoints/last.ckpt").touch()
    with pytest.raises(ValueError, match=r"by --ckpt_path run/checkpoints/last.ckpt$"):
        run_directory.choose(Path("run"), "name", False)
