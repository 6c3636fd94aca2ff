"""What release 0.1 wrote is read by this one, and what moved since is said in one line."""

import inspect
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from lightning_posenc import Encoder
from lightning_posenc.cli import main
from lightning_posenc.compat.earlier_releases import (
    OF_MODULE,
    OF_PARTS,
    encoder_of_today,
    of_today,
    rename_callbacks,
)
from lightning_posenc.model import Attention, Eager, Plain
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.training.checkpoint_config import stored_config
from lightning_posenc.training.resuming.which_run import differences

# As `fit` of release 0.1 wrote it, options of the encoder that matter set to other than defaults.
ENCODER = {
    "d_model": 16, "n_heads": 2, "n_layers": 2, "embed_std": 1.0, "mask": None, "n_kv_heads": 1,
    "feed_forward": None, "norm": None, "pre_norm": False,
    "residual": {"class_path": "lightning_posenc.model.Plain"}, "qk_norm": True,
    "sigma_reparam": False, "bias": True, "dropout": 0.0, "attention_dropout": 0.1,
    "drop_path": 0.2, "kernel": {"class_path": "lightning_posenc.model.Eager"},
    "checkpoint_activations": True, "init_std": 0.02,
}  # fmt: skip
BLOCK = (
    "attention.qkv.weight", "attention.qkv.bias", "attention.qk_norm.q.weight",
    "attention.qk_norm.q.bias", "attention.qk_norm.k.weight", "attention.qk_norm.k.bias",
    "attention.out.weight", "attention.out.bias", "feed_forward.up.weight", "feed_forward.up.bias",
    "feed_forward.out.weight", "feed_forward.out.bias", "norm_attention.weight",
    "norm_attention.bias", "norm_feed_forward.weight", "norm_feed_forward.bias",
)  # fmt: skip
STATE = (
    "encoder.positional.table",
    *(f"encoder.blocks.{layer}.{name}" for layer in (0, 1) for name in BLOCK),
    "embedding.weight", "head.weight", "head.bias",
)  # fmt: skip
POSITIONAL = {"class_path": "lightning_posenc.positional.LearnedAbsolute"}


def checkpoint(path: Path, hyper_parameters: dict[str, Any]) -> dict[str, torch.Tensor]:
    """A checkpoint of release 0.1 with weights of its names and sizes; gives those."""
    sizes = {"qkv": (32, 16), "qk_norm": (8,), "out": (16, 16), "up": (64, 16), "norm": (16,)}
    state = {}
    for name in STATE:
        part, kind = name.split(".")[-2:]
        shape: tuple[int, ...] = (8,) if "qk_norm" in name else sizes.get(part, (16,))
        if part == "out" and "feed_forward" in name:
            shape = (16, 64)
        shape = {"embedding.weight": (5, 16), "head.weight": (3, 16), "head.bias": (3,),
                 "encoder.positional.table": (512, 16)}.get(name, shape)  # fmt: skip
        state[name] = torch.randn(shape[:1] if kind == "bias" else shape)
    config = {"model": {"class_path": "lightning_posenc.modules.SequenceClassifier",
                        "init_args": {"encoder": ENCODER, "positional": POSITIONAL}}}  # fmt: skip
    torch.save(
        {"state_dict": state, "hyper_parameters": hyper_parameters, "epoch": 0, "global_step": 0,
         "pytorch-lightning_version": "2.6.6",
         "lightning_posenc_config": yaml.safe_dump(config)},
        path,
    )  # fmt: skip
    return state


def kept(encoder: dict[str, Any]) -> dict[str, Any]:
    """As a program's checkpoint keeps the arguments, which a command's does as a config."""
    path = "lightning_posenc.model.encoder.EncoderSpec"
    return {"encoder": {"class_path": path, "init_args": encoder, "object": True},
            "positional": POSITIONAL}  # fmt: skip


BY_COMMAND = {
    "_class_path": "lightning_posenc.modules.SequenceClassifier",
    "_instantiator": "lightning.pytorch.cli.instantiate_module",
    "encoder": ENCODER,
    "positional": POSITIONAL,
}


@pytest.mark.parametrize("arguments", [kept(ENCODER), BY_COMMAND], ids=["program", "command"])
def test_a_checkpoint_loads_with_its_options_where_they_belong_now(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    sizes = {"vocab_size": 5, "n_classes": 3}
    state = checkpoint(tmp_path / "old.ckpt", arguments | sizes)
    of = SequenceClassifier.load_from_checkpoint(tmp_path / "old.ckpt").eval()
    assert of.state_dict().keys() == state.keys()
    for name, value in of.state_dict().items():
        assert torch.equal(value, state[name]), name
    block = of.encoder.blocks[1]
    attention, residual = block.attention, block.residual_attention
    assert isinstance(attention, Attention)
    assert isinstance(attention.kernel.tried[0], Eager)
    assert attention.kernel.tried[0].dropout == 0.1
    assert attention.qkv.widths["k"] == 8
    assert isinstance(residual, Plain)
    assert not residual.pre_norm
    assert residual.drop_path.p == 0.2
    assert isinstance(of.encoder.norm, nn.Identity)
    assert of.encoder.checkpoint_activations


def test_the_config_in_a_checkpoint_is_given_as_of_today(tmp_path: Path) -> None:
    checkpoint(tmp_path / "old.ckpt", {})
    contents = torch.load(tmp_path / "old.ckpt", weights_only=True)
    model = stored_config(tmp_path / "old.ckpt", contents)["model"]["init_args"]
    encoder = model["encoder"]
    assert not encoder.keys() & {*OF_PARTS, *OF_MODULE}
    assert model["checkpoint_activations"] is True
    assert encoder["mixer"] == {
        "class_path": "lightning_posenc.model.Attention",
        "init_args": {"n_kv_heads": 1, "qk_norm": {"class_path": "torch.nn.LayerNorm"},
                      "bias": True, "dropout": 0.1, "kernel": ENCODER["kernel"]},
    }  # fmt: skip
    assert encoder["residual"]["init_args"] == {"pre_norm": False, "drop_path": 0.2}
    assert of_today({"encoder": encoder}) == {"encoder": encoder}
    old = {"model": {"init_args": {"encoder": ENCODER}}}  # in the run's directory, too
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(old))
    assert not differences(tmp_path, of_today(old))


def test_norms_of_queries_are_of_the_models_kind_and_deep_norm_has_no_choice() -> None:
    norm = {"class_path": "torch.nn.RMSNorm"}
    found = encoder_of_today({"qk_norm": True, "norm": norm})
    assert found["mixer"]["init_args"]["qk_norm"] == norm
    assert encoder_of_today({"qk_norm": False})["mixer"]["init_args"]["qk_norm"] is None
    deep = encoder_of_today({"pre_norm": False, "residual": "lightning_posenc.model.DeepNorm"})
    assert "pre_norm" not in str(deep)


@pytest.mark.parametrize(
    ("option", "in_file"), [*zip((*OF_PARTS, *OF_MODULE), cycle((True, False)), strict=False)]
)
def test_an_option_that_moved_is_named_with_its_new_place(
    option: str, in_file: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mine.yaml"
    encoder = {"d_model": 16, option: 1} if in_file else {"d_model": 16}
    config.write_text(yaml.safe_dump(
        {"model": {"class_path": "SequenceClassifier", "init_args": {"encoder": encoder}},
         "data": "SyntheticData"}
    ))  # fmt: skip
    told = [] if in_file else [f"--model.encoder.{option}=1"]
    assert main(["fit", "--config", str(config), f"--run_dir={tmp_path / 'run'}", *told]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    part, name = OF_PARTS.get(option, ("model", option))
    assert said.startswith(f"error: model.encoder.{option}: an option of the {part} now: ")
    assert f"--model.encoder.{part}.{name}=".replace("encoder.model.", "") in said
    assert not (tmp_path / "run").exists()


def test_the_encoder_lists_twelve_arguments_at_most() -> None:
    listed = inspect.signature(Encoder).parameters
    assert len(listed) <= 12
    assert not listed.keys() & {*OF_PARTS, *OF_MODULE}


def test_the_runs_own_checkpoint_callbacks_have_todays_keys() -> None:
    """Lightning would warn that they are missing, and the run would forget its best checkpoint."""
    arguments = "{'monitor': 'val/loss', 'mode': 'min'}"
    old, new = f"ModelCheckpoint{arguments}", f"RunCheckpoint{arguments}"
    states = {old: {"best": 1}, "RandomState": {}}
    rename_callbacks(states, {new, "RandomState"})
    assert states == {new: {"best": 1}, "RandomState": {}}
    for present in ({old, new}, {"RandomState"}):  # a user's own, or a run that keeps none
        states = {old: {"best": 1}}
        rename_callbacks(states, present)
        assert states == {old: {"best": 1}}
