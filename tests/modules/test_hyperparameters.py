"""A program's checkpoints are read safely, and make the module again (B18)."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from lightning_posenc import masks, positions
from lightning_posenc.data import SyntheticData
from lightning_posenc.model import MLP, EncoderSpec, SwiGLU
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.modules.hyperparameters import kept, rebuilt
from lightning_posenc.positional import ALiBi, Chain, LearnedAbsolute, RoPE
from lightning_posenc.positional.rotary.scaling import LinearScaling, YaRN
from lightning_posenc.positions import Positions, Randomized, Shifted
from lightning_posenc.tasks import PositionPattern

VOCAB_SIZE = PositionPattern().vocab_size


class Own(SequenceClassifier):
    """With an argument of its own."""

    def __init__(self, encoder: EncoderSpec, own: Any = 3, **kwargs: Any) -> None:
        super().__init__(encoder, VOCAB_SIZE, 4, **kwargs)
        self.own = own


def fitted(module: L.LightningModule, root: Path) -> tuple[L.Trainer, SyntheticData]:
    trainer = L.Trainer(
        accelerator="cpu", max_steps=2, default_root_dir=root, logger=False,
        callbacks=[ModelCheckpoint(root, "saved")],
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    data = SyntheticData(train_length=8, batch_size=4, steps_per_epoch=2, eval_samples=4)
    trainer.fit(module, data)
    return trainer, data


def test_test_best_fit_and_load_from_checkpoint(tmp_path: Path) -> None:
    spec = EncoderSpec(
        16, 2, 2, feed_forward=partial(MLP, activation=nn.ReLU), norm=nn.RMSNorm,
        mask=[masks.Window(4), None],
    )  # fmt: skip
    module = SequenceClassifier(
        spec,
        VOCAB_SIZE,
        4,
        positional=Chain.of(partial(RoPE, scaling=YaRN(4.0, 8)), ALiBi),
        positions=Randomized(64, seed=3),
        optimizer=partial(AdamW, lr=1e-3, betas=(0.5, 0.9)),
        schedule=CosineAnnealingLR,
    )
    trainer, data = fitted(module, tmp_path)
    path = tmp_path / "saved.ckpt"
    torch.load(path, weights_only=True)
    trainer.test(module, data, ckpt_path="best", verbose=False)
    more = L.Trainer(
        accelerator="cpu", max_steps=4, default_root_dir=tmp_path, logger=False,
        callbacks=[ModelCheckpoint(tmp_path, "saved")],
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    more.fit(module, data, ckpt_path=path)
    assert more.global_step == 4
    again = SequenceClassifier.load_from_checkpoint(path)
    assert str(again.encoder) == str(module.encoder)
    positions_now: Any = again.encoder.positions
    assert positions_now.generator.initial_seed() == 3
    saved = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(saved[k], v) for k, v in again.state_dict().items())
    assert again.make_optimizer.keywords == {"lr": 1e-3, "betas": [0.5, 0.9]}  # type: ignore[union-attr]
    other = SequenceClassifier.load_from_checkpoint(path, positional=ALiBi, strict=False)
    assert isinstance(other.positional, ALiBi)


def test_what_cannot_be_kept_is_asked_for(tmp_path: Path) -> None:
    module = Own(EncoderSpec(16, 2, 1), own=7, positional=lambda dims: RoPE(dims, base=500.0))
    fitted(module, tmp_path)
    path = tmp_path / "saved.ckpt"
    with pytest.raises(ValueError, match=r"positional was <function .* positional=…") as caught:
        Own.load_from_checkpoint(path)
    assert "\n" not in str(caught.value)
    again = Own.load_from_checkpoint(path, positional=partial(RoPE, base=500.0))
    assert again.own == 7


def every(package: Any, base: type) -> list[type]:
    kinds = [getattr(package, name) for name in package.__all__]
    return [k for k in kinds if isinstance(k, type) and issubclass(k, base) and k is not base]


@pytest.mark.parametrize("kind", every(positions, Positions), ids=lambda kind: kind.__name__)
def test_every_sampler_is_kept(kind: type) -> None:
    needed: dict[str, tuple[Any, ...]] = {
        "Abacus": ([1, 2],), "Grid": ([-1, 4],), "Interpolated": (8,), "Graph": ([(0, 1)],),
    }  # fmt: skip
    sampler = kind(*needed.get(kind.__name__, ()))
    plain = kept({"positions": sampler})["positions"]
    again = rebuilt("positions", plain)
    assert type(again) is kind
    assert kept({"positions": again})["positions"] == plain


def test_objects_are_not_mistaken() -> None:
    for value in (LinearScaling(2.0), YaRN(4.0, 8), masks.Window(3), Shifted(16), SwiGLU, RoPE):
        again = rebuilt("positional", kept({"positional": value})["positional"])
        assert again is value or vars(again).keys() == vars(value).keys()


@pytest.mark.parametrize("path", ["os.system", "subprocess.Popen", "no.such.Thing", "torch.load"])
def test_nothing_but_a_part_is_made(path: str) -> None:
    with pytest.raises(ValueError, match="which is no class of this package"):
        rebuilt("positional", {"class_path": path, "init_args": {"args": "true"}, "object": True})


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"positional": {"class_path": "antigravity.Bias"}}, "antigravity.Bias"),
        ({"positional": "antigravity.Bias"}, "antigravity.Bias"),
        ({"norm": {"class_path": "os.system", "init_args": {"command": "true"}}}, "os.system"),
        ({"_instantiator": "os.system"}, "os.system"),
    ],
)
def test_what_a_strangers_checkpoint_names_is_not_imported(
    named: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """Those of the command line are made again by jsonargparse, which imports what they name."""
    made = SequenceClassifier(EncoderSpec(16, 2, 1), 5, 3)
    arguments = {"_instantiator": "lightning.pytorch.cli.instantiate_module", **named}
    contents = {"state_dict": made.state_dict(), "hyper_parameters": arguments}
    torch.save(contents, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=said):
        SequenceClassifier.load_from_checkpoint(tmp_path / "x.ckpt")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocab_size": 10**12}, "vocab_size=1000000000000"),
        ({"encoder": {"n_layers": 10**6}}, "n_layers=1000000, and its weights are of 2"),
        ({"encoder": {"d_model": 2**20}}, "d_model=1048576, and its weights are of 16"),
        ({"positional": {"max_length": 10**11}}, "max_length=100000000000"),
    ],
)
def test_a_file_asks_for_no_larger_model_than_its_weights(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """A stranger's few kilobytes would take all memory before the weights are seen not to fit."""
    module = SequenceClassifier(
        EncoderSpec(16, 2, 2), 5, 3, positional=partial(LearnedAbsolute, max_length=9)
    )
    arguments: Any = dict(module.hparams)
    for name, change in changes.items():
        arguments[name] = _changed(arguments[name], change)
    path = tmp_path / "x.ckpt"
    contents = {
        "state_dict": module.state_dict(),
        "hyper_parameters": arguments,
        "pytorch-lightning_version": L.__version__,
    }
    torch.save(contents, path)
    with pytest.raises(ValueError, match=said):
        SequenceClassifier.load_from_checkpoint(path)


def _changed(value: Any, change: Any) -> Any:
    if not isinstance(change, dict):
        return change
    return {**value, "init_args": {**value["init_args"], **change}}
