"""The life of a run of `PretrainedLanguageModel` by the command: fit, go on, test, predict."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import lightning_posenc
from lightning_posenc.cli import main
from lightning_posenc.pretrained.adapting import LoRA, PretrainedLanguageModel
from lightning_posenc.pretrained.adapting.lora import is_adapter
from lightning_posenc.pretrained.reading import read
from tests.distributed.runs import Losses, trainer
from tests.pretrained.adapting.worlds import LENGTH, batch, llama_folder, text_data, text_file

pytest.importorskip("peft")

STEPS = 3  # an epoch
METHOD: dict[str, Any] = {"method": "yarn", "to": 128}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, watched; its directory, beside the model's and the config."""
    root = tmp_path_factory.mktemp("life")
    folder, text = llama_folder(root), text_file(root)
    watching = ("AttentionStatistics", "PositionalGradients", "OrderSensitivity", "RankCollapse")
    config: dict[str, Any] = {
        "model": {
            "class_path": "PretrainedLanguageModel",
            "init_args": {
                "path": str(folder),
                **METHOD,
                "lora": {"rank": 2, "targets": ["q_proj", "k_proj"]},
                "positions": {"class_path": "PoSE", "init_args": {"target_length": 128}},
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
            },
        },
        "data": {
            "class_path": "TextData",
            "init_args": {
                "path": str(text),
                "vocabulary": str(folder),
                "train_length": LENGTH,
                "eval_lengths": [LENGTH, 96],
                "batch_size": 4,
                "steps_per_epoch": STEPS,
            },
        },
        "trainer": {
            "max_epochs": 2,
            "accelerator": "cpu",
            "log_every_n_steps": 1,
            "limit_val_batches": 2,
            "limit_test_batches": 2,
            "enable_progress_bar": False,
            "callbacks": [
                {"class_path": name, "init_args": {"every_n_steps": 6, "n_sequences": 2}}
                for name in watching
            ],
        },
    }
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    place = root / "run"
    assert main(["fit", "--config", str(root / "config.yaml"), f"--run_dir={place}"]) == 0
    return place


def last(run: Path) -> Path:
    return run / "checkpoints" / "last.ckpt"


@pytest.mark.slow
def test_metrics_are_called_as_everywhere_and_watching_callbacks_see_it(run: Path) -> None:
    columns = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    expected = {
        "train/loss", "val/loss", "val/acc", "val/perplexity", "test/loss/len_16",
        "test/loss/len_96", "attn/entropy/layer_01/head_1", "pos_grad/layer_02/residual",
        "order/shifted", "rank/effective/layer_01",
    }  # fmt: skip
    assert expected <= set(columns)
    assert json.loads((run / "figures" / "attention_entropy.json").read_text())


@pytest.mark.slow
def test_a_checkpoint_holds_adapters_and_says_where_the_rest_is(run: Path) -> None:
    contents = torch.load(last(run), weights_only=True)
    assert contents["state_dict"]
    assert all(map(is_adapter, contents["state_dict"]))
    record = contents["lightning_posenc_base"]
    assert record["path"] == str(run.parent / "llama0")
    assert record["parameters"] > 0


@pytest.mark.slow
def test_it_is_tested_and_predicts_from_the_checkpoint_alone(run: Path) -> None:
    for command in ("test", "validate", "predict"):
        place = run.parent / command
        assert main([command, "--ckpt_path", str(last(run)), f"--run_dir={place}"]) == 0
    after_fit, alone = (last_row(place)["test/loss/len_96"] for place in (run, run.parent / "test"))
    assert after_fit == alone != ""


def last_row(place: Path) -> dict[str, str]:
    """The last row of a run's table, by column."""
    header, *_, row = (place / "metrics.csv").read_text().splitlines()
    return dict(zip(header.split(","), row.split(","), strict=True))


@pytest.mark.slow
def test_a_changed_base_is_refused_in_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = llama_folder(tmp_path, seed=7)
    arguments = [f"--model.path={other}", f"--run_dir={tmp_path / 'run'}"]
    assert main(["test", "--ckpt_path", str(last(run)), *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "does not hold the weights that the checkpoint was trained beside" in said[-1]
    assert str(other) in said[-1]


@pytest.mark.slow
def test_the_same_weights_elsewhere_are_the_same(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(run.parent / "llama0", moved)
    here = PretrainedLanguageModel.load_from_checkpoint(last(run)).eval()
    there = PretrainedLanguageModel.load_from_checkpoint(last(run), path=str(moved)).eval()
    assert torch.equal(here.logits(batch()), there.logits(batch()))
    plain = PretrainedLanguageModel(str(moved), **METHOD).eval()
    assert not torch.equal(plain.logits(batch()), here.logits(batch()))


@pytest.mark.slow
def test_a_run_ends_in_a_plain_folder(run: Path, tmp_path: Path) -> None:
    trained = PretrainedLanguageModel.load_from_checkpoint(last(run)).eval()
    before = read(run.parent / "llama0").model(batch().tokens).logits
    plain = trained.merged()
    plain.model.save_pretrained(tmp_path)
    again = read(tmp_path).model
    assert not list(tmp_path.glob("*adapter*"))
    assert not hasattr(plain.model, "peft_config")
    logits = again(batch().tokens).logits
    torch.testing.assert_close(logits, plain.model(batch().tokens).logits)
    assert (logits - before).abs().max() > 1e-5


def fit(
    root: Path, folder: Path, steps: int, ckpt: Path | None = None, **options: Any
) -> tuple[list[float], PretrainedLanguageModel]:
    """The losses of the steps, with nothing drawn but the order of the text."""
    noted = Losses()
    torch.manual_seed(0)
    module = PretrainedLanguageModel(str(folder), schedule=None, **options)
    runner = trainer(root, callbacks=[noted], max_steps=steps, max_epochs=10, limit_val_batches=0)
    runner.fit(module, text_data(folder), ckpt_path=ckpt, weights_only=True)
    runner.save_checkpoint(root / f"{steps}.ckpt")
    return noted.losses, module


@pytest.mark.parametrize(
    "options", [{"lora": LoRA(rank=2)}, {"trains": "norms"}, {"trains": "all", "layer_decay": 0.5}]
)
def test_resumed_equals_uninterrupted(tmp_path: Path, options: dict[str, Any]) -> None:
    folder = llama_folder(tmp_path)
    whole, module = fit(tmp_path, folder, 5, **options)
    fit(tmp_path, folder, 2, **options)
    parts, again = fit(tmp_path, folder, 5, tmp_path / "2.ckpt", **options)
    assert parts == whole[2:]
    for (name, one), other in zip(module.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_all_weights_are_in_the_checkpoint_where_all_are_trained(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path)
    fit(tmp_path, folder, 1)
    contents = torch.load(tmp_path / "1.ckpt", weights_only=True)
    assert "lightning_posenc_base" not in contents
    assert contents["state_dict"].keys() == PretrainedLanguageModel(str(folder)).state_dict().keys()


def test_it_is_loaded_and_asked(run: Path) -> None:
    """The weights that the checkpoint leaves out come from the model's folder."""
    model = lightning_posenc.load(run, device="cpu")
    said = model.generate("the", max_new_tokens=4, temperature=0)
    assert "".join(model.stream("the", max_new_tokens=4, temperature=0)) == said
    assert model("the", max_new_tokens=4, temperature=0)["text"] == "the" + said
    assert model.score("the cat sat on the mat")["loss"] > 0
    assert repr(model).startswith("model")
