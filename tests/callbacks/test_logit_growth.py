"""Which heads grow, and by which projections."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lightning_posenc.callbacks import LogitGrowth
from lightning_posenc.model import EncoderSpec, Performer
from lightning_posenc.modules import SequenceClassifier
from tests.distributed.runs import data, model, trainer


class Grows(L.Callback):
    """Makes the queries of one head larger with every step: a planted explosion."""

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        pl_module.encoder.blocks[1].attention.qkv.weight[8:16] *= 2


def test_the_head_that_grows_is_seen(tmp_path: Path) -> None:
    watch, module = LogitGrowth(every_n_steps=1), model()
    runner = trainer(tmp_path, callbacks=[Grows(), watch], max_steps=4)
    runner.fit(module, data(steps_per_epoch=4))
    last = {key: column[-1] for key, column in watch.history.columns.items()}
    growth = {key: value for key, value in last.items() if key.startswith("qk/growth")}
    assert len(growth) == 4
    assert max(growth, key=lambda key: growth[key]) == "qk/growth/layer_01/head_1"
    for part, norm in ((0, "qk/query_norm/layer_01/head_0"), (1, "qk/query_norm/layer_01/head_1")):
        weight: Any = module.encoder.blocks[1].attention.qkv.weight  # type: ignore[union-attr]
        own = weight[8 * part : 8 * part + 8]
        assert last[norm] == pytest.approx(float(torch.linalg.svdvals(own.detach())[0]), rel=1e-4)
    key: Any = module.encoder.blocks[1].attention.qkv.weight[16:24]  # type: ignore[union-attr, index]
    largest = float(torch.linalg.svdvals(key.detach())[0])
    assert last["qk/key_norm/layer_01/head_0"] == pytest.approx(largest, rel=1e-4)
    first = watch.history.columns["qk/logit/layer_01/head_1"]
    assert growth["qk/growth/layer_01/head_1"] == pytest.approx(first[-1] - first[0], rel=1e-3)
    drawn = {path.name for path in tmp_path.rglob("logit_growth*.png")}
    assert drawn == {"logit_growth.png", "logit_growth_by_head.png"}


def test_logits_that_nobody_makes_are_not_watched() -> None:
    module = SequenceClassifier(EncoderSpec(16, 2, 1, mixer=Performer), 5, 3)
    with pytest.raises(ValueError, match="no layer makes logits"):
        LogitGrowth().setup(None, module, "fit")  # type: ignore[arg-type]
