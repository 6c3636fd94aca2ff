"""Tables and pictures of a test say what its lengths are: of images the size in pixels."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
from matplotlib.figure import Figure

from lightning_posenc.callbacks import AccuracyByPosition, LengthGeneralization, ResultsTable
from lightning_posenc.data import FrameData, ImageData, SyntheticData, ToneData
from lightning_posenc.model import EncoderSpec, Patches
from lightning_posenc.modules import ImageClassifier
from lightning_posenc.positional import NoPE
from lightning_posenc.training.summary import RunSummary


def test_sizes_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **kwargs: drawn.append(figure))
    pixels = np.random.default_rng(0).integers(0, 255, (12, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", images=pixels, labels=np.arange(12) % 2)
    data = ImageData(str(tmp_path / "few.npz"), 8, [8, 12], val_fraction=0.5)
    inputs = partial(Patches, patch_size=4, n_channels=1, n_class_tokens=0)
    module = ImageClassifier(
        EncoderSpec(8, 1, 1), None, 2, inputs=inputs, positional=NoPE, pooling="mean"
    )
    callbacks: list[Any] = [ResultsTable(), LengthGeneralization(), AccuracyByPosition()]
    trainer = L.Trainer(
        accelerator="cpu", callbacks=[*callbacks, RunSummary()], default_root_dir=tmp_path,
        logger=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.test(module, data, verbose=False)
    table = capsys.readouterr().out
    assert "size in pixels" in table
    assert "length" not in table
    words = [
        word
        for figure in drawn
        for axes in figure.axes
        for word in (axes.get_xlabel(), axes.get_ylabel(), axes.get_title())
    ]
    assert "test size in pixels" in words
    assert any(word.startswith("effective size in pixels: ") for word in words)
    assert not any("length" in word for word in words)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["length_axis"] == "size in pixels"
    assert {"test/acc/len_8", "test/acc/len_12"} <= summary["metrics"].keys()


def test_others() -> None:
    said = [kind.length_axis for kind in (SyntheticData, ToneData, FrameData)]
    assert said == ["length", "length in symbols", "length in frames"]
