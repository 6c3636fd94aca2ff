"""The picture of who attends to whom: of layers that tell their weights, and of those without."""

import json
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from matplotlib.figure import Figure

from lightning_posenc.callbacks import AttentionMaps
from lightning_posenc.data import SyntheticData
from lightning_posenc.model import Attention, EncoderSpec, FNet, LinearAttention
from lightning_posenc.modules import TokenClassifier
from lightning_posenc.positional import NoPE, RoPE
from lightning_posenc.tasks import Shift


@pytest.mark.parametrize(
    ("mixers", "positional", "drawn"),
    [
        ([Attention, Attention], RoPE, ["layer_00", "layer_01"]),
        ([LinearAttention, LinearAttention], NoPE, ["layer_00", "layer_01"]),
        ([LinearAttention, Attention], RoPE, ["layer_01"]),  # turned queries leave no weights
        ([FNet, FNet], NoPE, None),
    ],
)
def test_it_shows_the_layers_that_tell_their_weights(
    mixers: list[Any],
    positional: Any,
    drawn: list[str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Figure, "savefig", lambda *args, **kwargs: None)  # pixels take a second
    spec = EncoderSpec(16, 2, 2, mixer=mixers)
    task = Shift()
    module = TokenClassifier(spec, task.vocab_size, task.n_classes, positional=positional)
    trainer = L.Trainer(
        accelerator="cpu",
        callbacks=[AttentionMaps()],
        default_root_dir=tmp_path,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    data = SyntheticData(task, train_length=8, eval_samples=4, batch_size=4)
    trainer.test(module, data, verbose=False)
    numbers = tmp_path / "figures" / "attention.json"
    if drawn is None:
        assert not numbers.exists()
        return
    maps = json.loads(numbers.read_text())
    assert list(maps) == drawn
    for heads in maps.values():
        for row in (row for head in heads for row in head):
            assert sum(row) == pytest.approx(1, abs=1e-3)
