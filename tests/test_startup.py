"""A command imports what it uses, and answers soon."""

import gc
import importlib.util
import os
import resource
import subprocess
import sys
import weakref
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from lightning_posenc.training.startup import hidden, uncollected

ROOT = Path(__file__).parents[1]
UNUSED = {
    *("datasets", "matplotlib", "pandas", "pyarrow", "scipy"),
    *("tensorboard", "tokenizers", "transformers", "wandb"),
}
FIT = """
import importlib.util, sys
from lightning_posenc.cli import main

status = main(sys.argv[1:])
print("status", status)
print("imported", *sorted(name for name in sys.modules if "." not in name))
print("still there", importlib.util.find_spec("matplotlib") is not None)
"""


def python(*args: str) -> str:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, cwd=ROOT, env=env, timeout=280
    )
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_synthetic_fit_imports_only_what_it_uses(tmp_path: Path) -> None:
    said = python(
        *("-c", FIT, "fit", "--config=configs/quickstart.yaml", f"--run_dir={tmp_path}"),
        "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}",
        *("--data.steps_per_epoch=1", "--data.eval_samples=8", "--data.batch_size=8"),
        *("--trainer.max_epochs=1", "--test_after_fit=false"),
    )
    lines = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
    assert lines["status"] == "0"
    assert {"torch", "lightning", "torchmetrics"} <= set(lines["imported"].split())
    assert not UNUSED & set(lines["imported"].split())
    assert lines["still"] == "there True"


def test_help_takes_less_than_a_second() -> None:
    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = seconds()
    assert python("-m", "lightning_posenc", "--help").startswith("usage")
    # Of the processor, which the load of the machine hardly changes.
    assert seconds() - before < 1


def test_a_hidden_package_is_not_installed_meanwhile() -> None:
    with hidden(["yaml", "PyYAML"]):
        with pytest.raises(ModuleNotFoundError, match=r"yaml\.nonsense"):
            importlib.util.find_spec("yaml.nonsense")
        with pytest.raises(PackageNotFoundError):
            version("PyYAML")
        assert version("torch")
    assert version("PyYAML")


@pytest.fixture
def _thawed() -> Iterator[None]:
    """As where a command starts: nothing is frozen, of what tests/conftest.py has frozen either."""
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.mark.usefixtures("_thawed")
def test_garbage_waits_until_everything_is_imported() -> None:
    class Knot:
        """Refers to itself."""

    def knot() -> "weakref.ref[Knot]":
        made = Knot()
        made.itself = made  # type: ignore[attr-defined]
        return weakref.ref(made)

    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        left = knot()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert left() is not None
    gc.collect()
    assert left() is None


def test_who_collects_no_garbage_or_keeps_some_back_still_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 1)
    monkeypatch.delattr(gc, "unfreeze")
    with uncollected():
        pass
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
