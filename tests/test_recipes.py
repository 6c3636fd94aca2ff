"""Shipped recipes pass simple methods on the same texts, here in a fraction of their steps (C6).

The headers of the configs say what whole recipes reach, docs/log.md by which commands.
"""

import importlib
import json
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightning_posenc.cli import main

ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def simple(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("simple_baselines")
    sys.modules.pop("simple_baselines", None)


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets of some of the library's modules."""
    root = tmp_path_factory.mktemp("library")
    for file in Path(sysconfig.get_path("stdlib")).glob("[a-i]*.py"):
        shutil.copy(file, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        importlib.import_module("python_data").write(root / "made", root)
        sys.modules.pop("python_data", None)
    return root / "made"


def fitted(run: Path, config: str, *more: str) -> dict[str, float]:
    """What a fit ends with."""
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
    quiet += ["--trainer.logger=false", "--test_after_fit=false", f"--run_dir={run}"]
    assert main(["fit", "--config", str(ROOT / "configs" / config), *quiet, *more]) == 0
    return json.loads((run / "summary.json").read_text())["metrics"]


def test_text(simple: Any, tmp_path: Path) -> None:
    """Half as deep, in a sixth of the tokens, it passes a 3-gram; the whole recipe the 6-gram."""
    small = ["--model.encoder.n_layers=2", "--data.train_length=64", "--data.batch_size=16"]
    small += ["--data.steps_per_epoch=400", "--trainer.max_epochs=1"]
    found = fitted(tmp_path / "run", "language_model.yaml", *small)
    methods = simple.baselines(ROOT / "configs" / "language_model.yaml", {}, 3)
    assert found["val/bits_per_byte"] < methods["3-gram, bits_per_byte"]


def test_tags(simple: Any, code: Path, tmp_path: Path) -> None:
    paths = {"path": code / "names/train.conll", "val_path": code / "names/validation.conll"}
    options = [f"--data.{name}={path}" for name, path in paths.items()]
    found = fitted(tmp_path / "run", "tagging.yaml", *options, "--trainer.max_epochs=3")
    methods = simple.baselines(ROOT / "configs" / "tagging.yaml", paths, 3)
    assert found["val/acc"] > methods["most frequent tag of the word, acc"]
    assert found["val/f1_macro"] > methods["most frequent tag of the word, f1_macro"]


def test_texts_with_classes(simple: Any, code: Path, tmp_path: Path) -> None:
    """In 120 steps it passes what sees the words alone; the whole recipe what sees characters."""
    small = ["--data.train_length=32", "--data.steps_per_epoch=120", "--trainer.max_epochs=1"]
    path = str(code / "lines")
    found = fitted(tmp_path / "run", "text_classification.yaml", f"--data.path={path}", *small)
    methods = simple.baselines(ROOT / "configs" / "text_classification.yaml", {"path": path}, 3)
    assert found["val/acc"] > methods["tf-idf + logistic regression, acc"]
    assert found["val/acc"] > methods["most frequent class, acc"]
