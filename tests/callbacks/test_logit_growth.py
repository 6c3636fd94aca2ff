"""Which heads grow, and by which projections."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lightning_posenc.callbacks import LogitGrowth
from lightning_posenc.data import Batch
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.model import EncoderSpec, MixtureOfExperts, Patches, Performer, Stage
from lightning_posenc.modules import ImageClassifier, SequenceClassifier
from lightning_posenc.positional import AxialRoPE
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


def test_layers_of_a_later_stage_do_not_pass_for_those_that_are_watched(tmp_path: Path) -> None:
    images = ImageClassifier(
        EncoderSpec(
            16, 2, 2, stages=[Stage(2)], feed_forward=partial(MixtureOfExperts, n_experts=4)
        ),
        None,
        3,
        inputs=partial(Patches, patch_size=2, n_channels=1, n_class_tokens=0),
        pooling="mean",
        positional=AxialRoPE,
    )
    batch = Batch(torch.rand(2, 1, 8, 8), torch.tensor([0, 2]))
    with torch.no_grad(), observe(images) as seen:
        images.eval().score(batch, 0)
        found = LogitGrowth().measure(images, batch, 0)
    first: Any = images.encoder.blocks[0].feed_forward
    assert sorted(seen.routed) == [0, 1]
    assert seen.routed[0].kept == first.kept
    attention: Any = images.encoder.blocks[1].attention
    largest = float(torch.linalg.svdvals(attention.qkv.weight[:8].detach())[0])
    assert float(found["qk/query_norm/layer_01/head_0"]) == pytest.approx(largest, rel=1e-4)
    norms = [key for key in found if key.startswith("qk/query_norm")]
    assert len(norms) == 4
