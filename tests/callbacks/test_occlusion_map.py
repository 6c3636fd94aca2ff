"""A patch that a model reads lights up, and no other; what has no grid is refused."""

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_posenc.callbacks import OcclusionMap
from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec, Frames, Patches
from lightning_posenc.modules import CTCModel, ImageClassifier, SequenceClassifier
from lightning_posenc.positional import MixedRoPE, NoPE

SPEC = EncoderSpec(16, 2, 1, init_std=0.5)
PATCHES = partial(Patches, patch_size=(2, 4), n_channels=1)
READ = (2, 1)  # row and column of the patch that is looked at


class Peephole(ImageClassifier):
    """A ViT that sees one patch of an image of 8 x 12 pixels, 4 x 3 patches."""

    def logits(self, batch: Batch) -> Tensor:
        y, x = 2 * READ[0], 4 * READ[1]
        seen = torch.zeros_like(batch.tokens)
        seen[:, :, y : y + 2, x : x + 4] = batch.tokens[:, :, y : y + 2, x : x + 4]
        blank = super().logits(batch._replace(tokens=torch.zeros_like(seen)))
        return super().logits(batch._replace(tokens=seen)) - blank  # or one class leads at first


class Drawn(L.LightningDataModule):
    """Images of noise, with the classes that a model gives them."""

    def __init__(self, module: ImageClassifier) -> None:
        super().__init__()
        images = torch.randn(4, 6, 1, 8, 12, generator=torch.Generator().manual_seed(0))
        none = torch.zeros(6, dtype=torch.int64)
        with torch.no_grad():
            classes = [module.eval().logits(Batch(x, none)).argmax(-1) for x in images]
        self.batches = [Batch(x, y) for x, y in zip(images, classes, strict=True)]

    def test_dataloader(self) -> DataLoader[Batch]:
        batches: Any = self.batches
        return DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch)


def test_the_patch_that_is_read_lights_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Figure, "savefig", lambda *args, **kwargs: None)  # pixels take a second
    torch.manual_seed(0)
    module = Peephole(SPEC, None, 3, inputs=PATCHES, positional=MixedRoPE)
    data = Drawn(module)
    trainer = L.Trainer(
        accelerator="cpu", callbacks=[OcclusionMap(n_images=20)], default_root_dir=tmp_path,
        logger=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.test(module, data, verbose=False)
    found = json.loads((tmp_path / "figures" / "occlusion.json").read_text())["8 x 12"]
    assert found["n_images"] == 20
    assert found["accuracy"] == 1
    fall, rise = torch.tensor(found["accuracy_fall"]), torch.tensor(found["loss_rise"])
    assert fall.shape == rise.shape == (4, 3)
    assert fall.nonzero().tolist() == rise.nonzero().tolist() == [list(READ)]
    # Nothing is seen of any image without it: they all are given one class.
    classes = torch.cat([batch.targets for batch in data.batches])[:20]
    blank = Batch(torch.zeros(1, 1, 8, 12), torch.zeros(1, dtype=torch.int64))
    with torch.no_grad():
        said = module.logits(blank).argmax()
    assert fall[READ].item() == pytest.approx(1 - (classes == said).double().mean().item())
    with (tmp_path / "figures" / "occlusion.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 12
    (lit,) = (line for line in lines if float(line["accuracy_fall"]))
    assert (lit["pixels"], int(lit["row"]), int(lit["column"])) == ("8 x 12", *READ)


@pytest.mark.parametrize("kind", ["tokens", "frames"])
def test_what_has_no_grid_is_refused(kind: str) -> None:
    module: L.LightningModule = SequenceClassifier(SPEC, 5, 2, positional=NoPE)
    if kind == "frames":
        inputs = partial(Frames, n_features=5, subsampling=2)
        module = CTCModel(SPEC, None, 3, inputs=inputs, positional=NoPE)
    with pytest.raises(ValueError, match="hides patches of images, and"):
        OcclusionMap().setup(L.Trainer(logger=False, accelerator="cpu"), module, "test")
