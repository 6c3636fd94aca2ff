"""A run goes on only when it is asked to, and what it found stays found."""

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch

from lightning_posenc.cli import main
from tests.test_resume import STOPPER, stop

pytestmark = pytest.mark.slow

QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
FIT = [
    "fit", f"--config={QUICKSTART}", "--model.encoder={d_model: 16, n_heads: 2, n_layers: 3}",
    "--data.steps_per_epoch=4", "--data.eval_samples=16", "--data.batch_size=4",
    "--trainer.log_every_n_steps=1", "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu",
]  # fmt: skip
OWN = [
    "--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.every_n_epochs=1",
    "--trainer.callbacks.filename=mine",
]  # fmt: skip
MAPS = ["--trainer.callbacks+=AttentionMaps", "--trainer.callbacks.n_layers=2",
        "--trainer.callbacks.heads=[-1]"]  # fmt: skip


def fit(*options: str, epochs: int = 1) -> int:
    return main([*FIT, f"--trainer.max_epochs={epochs}", *options])


def summary(run: Path) -> dict:
    return json.loads((run / "summary.json").read_text())


def files(run: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def last(run: Path) -> dict:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "name" / "trained"
    assert fit(*OWN, *MAPS, f"--run_dir={run}", epochs=2) == 0
    return run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stopper.py").write_text(STOPPER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stopper", raising=False)


def test_a_checkpoint_of_ones_own_adds_to_the_runs(trained: Path) -> None:
    """B16: `+=` once took the best and the last away."""
    found = {path.name for path in (trained / "checkpoints").iterdir()}
    assert found == {"best.ckpt", "last.ckpt", "mine.ckpt"}


def test_maps_of_chosen_layers_and_heads(trained: Path) -> None:
    """E7, G8: a picture of every layer and head of a deep model took minutes."""
    maps = json.loads((trained / "figures" / "attention.json").read_text())
    assert list(maps) == ["layer_00", "layer_02"]
    assert [len(heads) for heads in maps.values()] == [1, 1]


def test_another_experiment_has_a_directory_of_its_own(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F-A: it once replaced the results of the run whose checkpoint it began from."""
    before = files(trained)
    checkpoint = f"--ckpt_path={trained / 'checkpoints' / 'last.ckpt'}"
    options = [*OWN, "--model.positional.dropout=0.5", "--test_after_fit=false"]
    assert fit(*options, checkpoint, epochs=3) == 0
    assert files(trained) == before
    said = capsys.readouterr().err
    assert "model.positional.dropout differs: a new run begins from the checkpoint" in said
    (new,) = (tmp_path / "runs" / "quickstart").iterdir()
    assert summary(new)["steps"] == 12
    # The best checkpoint of the new run is its own.
    state = next(v for k, v in last(new)["callbacks"].items() if "'val/loss'" in k)
    assert Path(state["best_model_path"]) == new.resolve() / "checkpoints" / "best.ckpt"

    assert (
        fit(*options[:-2], f"--run_dir={new}", checkpoint, epochs=3) == 2
    )  # not over another run either
    assert "already holds a run" in capsys.readouterr().err


def test_a_run_that_was_moved_goes_on_with_its_best_checkpoint(
    trained: Path, tmp_path: Path
) -> None:
    """B5: Lightning forgets it where the path has changed. A finished run goes on for more
    epochs, in its place (F-A)."""
    run = tmp_path / "moved"
    shutil.copytree(trained, run)
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["callbacks"]
    key = next(key for key in best if "'val/loss'" in key)
    score = best[key]["best_model_score"]
    assert fit(*OWN, *MAPS, "--test_after_fit=false", f"--ckpt_path={run}", epochs=3) == 0
    assert summary(run)["steps"] == 12
    with (run / "metrics.csv").open(newline="") as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    state = last(run)["callbacks"][key]
    assert len(losses) == 3
    assert float(state["best_model_score"]) == pytest.approx(min(losses))
    assert min(losses) <= float(score)
    for other in last(run)["callbacks"].values():
        if "best_model_path" in other:
            assert Path(other["best_model_path"]).parent == run.resolve() / "checkpoints"


def test_from_an_earlier_checkpoint_a_new_run_begins(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F-A: going on from there would forget what came after."""
    run = tmp_path / "runs" / "copy"
    shutil.copytree(trained, run)
    early = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    early["global_step"] = 4
    torch.save(early, run / "checkpoints" / "early.ckpt")
    early_one = f"--ckpt_path={run / 'checkpoints' / 'early.ckpt'}"
    no_such_head = ["--trainer.callbacks+=AttentionMaps", "--trainer.callbacks.heads=[9]"]
    assert fit(*OWN, early_one, *no_such_head, epochs=3) == 2
    assert "note" not in capsys.readouterr().err  # of the mistake alone
    assert fit(*OWN, early_one, "--test_after_fit=false", epochs=3) == 0
    assert "the run has got to step 8" in capsys.readouterr().err


@pytest.mark.parametrize("stopped", [False, True])
def test_a_new_run_needs_something_to_train(
    stopped: bool, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F-A: it kept no checkpoint, and began from the start when it was started again."""
    limit, source = "trainer.max_epochs=2: raise it", trained
    if stopped:
        limit, source = "its run was stopped by a callback or trainer.max_time", tmp_path / "early"
        early = ["EarlyStopping", "monitor=val/loss", "min_delta=9", "patience=0"]
        stop_early = [f"--trainer.callbacks+={early[0]}"]
        stop_early += [f"--trainer.callbacks.{option}" for option in early[1:]]
        assert fit(*stop_early, "--test_after_fit=false", f"--run_dir={source}", epochs=3) == 0
        capsys.readouterr()
    options = stop_early if stopped else OWN
    assert fit(*options, f"--ckpt_path={source}", "--run_dir=new", epochs=3 if stopped else 2) == 2
    said = capsys.readouterr().err
    assert f"nothing is left to train: the checkpoint is of step {summary(source)['steps']}" in said
    assert limit in said
    assert not Path("new").exists()


def test_an_attempt_that_fails_leaves_a_finished_run_finished(
    trained: Path, tmp_path: Path
) -> None:
    """F-A: it once became "failed"."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    before = files(run)
    with pytest.raises(InterruptedError):
        fit(*OWN, *MAPS, f"--ckpt_path={run}", *stop("on_train_start", 8), epochs=3)
    assert files(run) == before


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
@pytest.mark.parametrize("limit", [1000, 100_000])
def test_a_full_disk_leaves_what_was_there(
    limit: int, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """B29: one line, and nothing half-written; a limit on the size of files fails as a disk does
    that is full, in the midst of a file."""
    import resource

    run = tmp_path / "run"
    shutil.copytree(trained, run)
    before = files(run)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        assert fit(*OWN, *MAPS, f"--ckpt_path={run}", epochs=3) == 2
        assert fit("--run_dir=new") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    said = ["too large: raise the limit"] if limit == 1000 else ["cannot be written", "too large"]
    assert all(any(text in line for text in said) for line in errors)
    assert not Path("new").exists()
    after = files(run)
    assert after.keys() == before.keys()
    assert {
        name for name in after if name.endswith(".ckpt") and after[name] != before[name]
    } == set()


@pytest.mark.slow
def test_finished_is_finished(tmp_path: Path) -> None:
    """B17: a run that was stopped early once trained on with each start."""
    early = [
        "--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss",
        "--trainer.callbacks.min_delta=9", "--trainer.callbacks.patience=1",
    ]  # fmt: skip
    command = ["--run_dir=run", "--ckpt_path=last", "--test_after_fit=false"]
    run = tmp_path / "run"
    assert fit(*early, *command, epochs=9) == 0
    first = summary(run)
    assert first["steps"] == 8
    assert fit(*early, *command, epochs=9) == 0
    assert (summary(run)["steps"], summary(run)["metrics"]) == (8, first["metrics"])
    # Who changes the condition means to go on; the checkpoint's patience was once kept.
    assert fit(*early[:-1], "--trainer.callbacks.patience=3", *command, epochs=9) == 0
    assert summary(run)["steps"] == 16


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch")
@pytest.mark.filterwarnings("ignore:Swapping scheduler")
def test_what_was_tested_is_saved(tmp_path: Path) -> None:
    """B13: weights that were averaged at the end were tested and not kept."""
    averaged = [
        "--trainer.callbacks+=StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=0.01",
        "--trainer.callbacks.swa_epoch_start=1", "--model.schedule.warmup_steps=2",
        "--trainer.callbacks+=stopper.Noted",
    ]  # fmt: skip
    (tmp_path / "stopper.py").write_text(
        "import lightning as L, torch\n"
        "class Noted(L.Callback):\n"
        "    def on_test_start(self, trainer, pl_module):\n"
        "        torch.save(pl_module.state_dict(), 'tested.pt')\n"
    )
    assert fit(*averaged, "--run_dir=run", epochs=4) == 0
    tested = torch.load("tested.pt", weights_only=True)
    for name, value in last(tmp_path / "run")["state_dict"].items():
        assert torch.equal(value, tested[name]), name
