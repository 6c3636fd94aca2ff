"""Options of training recipes: each against its formula, and as lines of a config."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch import nn

from lightning_posenc import Dims
from lightning_posenc.cli import main
from lightning_posenc.data import Batch, TextData
from lightning_posenc.data.lengths import GrowingLengths
from lightning_posenc.model import EncoderSpec, ScaledEmbedding, ScaleNorm, TokenEmbedding
from lightning_posenc.modules import LanguageModel, SequenceClassifier, WarmupInverseSqrt
from lightning_posenc.tasks import IGNORE

BASE: dict[str, Any] = {
    "model": {
        "class_path": "LanguageModel",
        "init_args": {"encoder": {"d_model": 16, "n_heads": 2, "n_layers": 1}},
    },
    "data": {
        "class_path": "TextData",
        "init_args": {"train_length": 16, "batch_size": 8, "steps_per_epoch": 4},
    },
    "trainer": {
        "log_every_n_steps": 1, "limit_val_batches": 2,
        "enable_progress_bar": False, "enable_model_summary": False,
    },
}  # fmt: skip


def test_scale_norm_has_one_gain_and_the_length_of_it() -> None:
    """Nguyen and Salazar 2019, equation 5; x-transformers divides so too."""
    norm, x = ScaleNorm(16), torch.randn(2, 5, 16)
    assert [parameter.shape for parameter in norm.parameters()] == [(1,)]
    torch.testing.assert_close(norm(x), 4 * x / x.norm(dim=-1, keepdim=True))
    assert norm(torch.zeros(1, 16)).eq(0).all()
    assert norm(1e-3 * x.bfloat16()).dtype == torch.bfloat16
    theirs = pytest.importorskip("x_transformers.x_transformers").ScaleNorm(16)
    torch.testing.assert_close(norm(x), theirs(x) * norm.gain / theirs.g / 4)


def test_scaled_embeddings_start_as_others_and_learn_faster() -> None:
    """Vaswani et al. 2017, section 3.4: sqrt(d_model) · E; a tied head's logits start as small."""
    dims, ids = Dims(64, 2, 1), torch.arange(500).unsqueeze(0)
    scaled, plain = ScaledEmbedding(dims, 500), TokenEmbedding(dims, 500)
    torch.testing.assert_close(scaled(ids)[0], 8 * scaled.weight)
    assert scaled(ids).std().item() == pytest.approx(plain(ids).std().item(), rel=0.05)
    first: dict[Any, torch.Tensor] = {}
    for inputs in (ScaledEmbedding, TokenEmbedding):
        torch.manual_seed(0)
        first[inputs] = LanguageModel(EncoderSpec(64, 2, 1), 500, inputs=inputs)(ids[:, :50])
    assert first[ScaledEmbedding].std().item() == pytest.approx(
        first[TokenEmbedding].std().item(), rel=0.1
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_labels_are_smoothed_in_training_alone(smoothing: float) -> None:
    """(1 - s) · -ln p_target - s · mean ln p, of what is scored."""
    torch.manual_seed(0)
    spec = EncoderSpec(16, 2, 1)
    of = LanguageModel(spec, 7, label_smoothing=smoothing)
    targets = torch.tensor([[1, 2, IGNORE, 6]])
    batch = Batch(torch.tensor([[3, 1, 2, 5]]), targets)
    log_p = of(batch).double().log_softmax(-1)[0]
    told = [0, 1, 3]
    hard = -log_p[told, targets[0, told]].mean()
    soft = (1 - smoothing) * hard - smoothing * log_p[told].mean()
    assert of.train().score(batch, 0)[0].item() == pytest.approx(soft.item(), abs=1e-5)
    assert of.eval().score(batch, 0)[0].item() == pytest.approx(hard.item(), abs=1e-5)
    with pytest.raises(ValueError, match=r"label_smoothing=1 must be a number in \[0, 1\)"):
        SequenceClassifier(spec, 5, 3, label_smoothing=1)


def test_inverse_square_root() -> None:
    """Vaswani et al. 2017, equation 3: min(n^-0.5, n · w^-1.5), over its peak at n = w."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = WarmupInverseSqrt(optimizer, warmup_steps=10)
    for n in range(1, 200):
        wanted = 2.0 * min(n**-0.5, n * 10**-1.5) * 10**0.5
        assert optimizer.param_groups[0]["lr"] == pytest.approx(wanted)
        optimizer.step()
        schedule.step()


def text(**options: Any) -> TextData:
    return TextData(train_length=16, batch_size=8, **options)


def test_a_batch_is_cut_with_all_that_belongs_to_its_tokens() -> None:
    rows = torch.arange(8).repeat(2, 1)
    batch = Batch(rows, rows + 1, torch.tensor([8, 3]), rows, rows, None, torch.arange(2))
    cut = batch.cut(5)
    assert cut.lengths is not None
    assert cut.numbers is not None
    assert cut.lengths.tolist() == [5, 3]
    assert cut.numbers.tolist() == [0, 1]
    for field in (cut.tokens, cut.targets - 1, cut.documents, cut.positions):
        assert field is not None
        assert torch.equal(field, rows[:, :5])
    assert batch.cut(8) is batch
    assert Batch(rows, torch.arange(2)).cut(3).targets.tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"data.growth: its longest, 17, is more than a block"):
        text(growth=GrowingLengths(4, 17, 80))


def run(tmp_path: Path, name: str, config: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of metrics of a short run, after it was resumed for an epoch."""
    fitted(tmp_path, name, config, epochs=2)
    directory = fitted(tmp_path, name, config, epochs=3, more=["--ckpt_path=last"])
    with (directory / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def fitted(
    tmp_path: Path, name: str, config: dict[str, Any], epochs: int, more: Sequence[str] = ()
) -> Path:
    """Train by a config of `BASE` and more; gives the run's directory."""
    made = {part: {**BASE[part], **config.get(part, {})} for part in BASE}
    for part in ("model", "data"):
        if part in config:
            given = BASE[part]["init_args"] | config[part]
            made[part] = {"class_path": BASE[part]["class_path"], "init_args": given}
    path, directory = tmp_path / f"{name}.yaml", tmp_path / name
    path.write_text(yaml.safe_dump(made))
    told = ["fit", "--config", str(path), f"--run_dir={directory}", "--test_after_fit=false"]
    assert main([*told, f"--trainer.max_epochs={epochs}", *more]) == 0
    return directory


LIGHTNING = "lightning.pytorch.callbacks"
SCALE_NORM = "lightning_posenc.model.ScaleNorm"  # x-transformers, loaded above, has one too
RECIPES: dict[str, dict[str, Any]] = {
    "transformer": {
        "model": {
            "encoder": {"d_model": 16, "n_heads": 2, "n_layers": 1, "norm": SCALE_NORM},
            "inputs": "ScaledEmbedding", "label_smoothing": 0.1, "layer_decay": 0.9,
            "schedule": {"class_path": "WarmupInverseSqrt", "init_args": {"warmup_steps": 4}},
        },
        "trainer": {"callbacks": [
            {"class_path": f"{LIGHTNING}.EMAWeightAveraging", "init_args": {"decay": 0.9}},
        ]},
    },
    "adafactor": {"model": {"optimizer": {"class_path": "torch.optim.Adafactor"}}},
    "lion": {"model": {"optimizer": {
        "class_path": "pytorch_optimizer.Lion", "init_args": {"lr": 1e-3, "weight_decay": 0.1},
    }}},
    "muon": {"model": {"muon_groups": True, "layer_decay": 0.9, "optimizer": {
        "class_path": "pytorch_optimizer.Muon",
        "init_args": {"lr": 0.02, "weight_decay": 0.01, "adamw_lr": 3e-3, "adamw_wd": 0.01},
    }}},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback")  # of sharding
@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_lines_of_a_config_and_resume(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "pytorch_optimizer" in str(RECIPES[name]):
        pytest.importorskip("pytorch_optimizer")
    rows = run(tmp_path, name, RECIPES[name])
    losses = [float(row["train/loss"]) for row in rows if row.get("train/loss")]
    assert len(losses) == 12
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0]
    said = capsys.readouterr()
    assert "anew" not in said.err
    assert "other options" not in said.err


@pytest.mark.slow
def test_an_optimizer_of_another_package_is_trusted_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One's own config may name it, a checkpoint's own only if one says so."""
    pytest.importorskip("pytorch_optimizer")
    directory = fitted(tmp_path, "lion", RECIPES["lion"], epochs=1)
    tried = ["validate", f"--ckpt_path={directory}", f"--run_dir={tmp_path / 'validated'}"]
    assert main(tried) == 2
    assert capsys.readouterr().err.strip().endswith("say so: --trust pytorch_optimizer")
    assert main([*tried, "--trust=pytorch_optimizer"]) == 0


class Widths(L.Callback):
    """Tokens of a training batch and of a validation batch, step by step."""

    def __init__(self) -> None:
        self.trained: list[int] = []
        self.validated: set[int] = set()

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Batch, number: int) -> None:
        self.trained.append(batch.tokens.shape[1])

    def on_validation_batch_start(self, trainer: Any, module: Any, batch: Batch, *_: Any) -> None:
        self.validated.add(batch.tokens.shape[1])


def widths(
    root: Path, steps: int, ckpt: Path | None = None, **of_trainer: Any
) -> tuple[list[int], L.Trainer]:
    """What a run sees, whose blocks grow from 4 to 16 tokens in 8 batches."""
    path = root / "text.txt"
    path.write_text("the quick brown fox jumps over the lazy dog. " * 200)
    lengths = GrowingLengths(4, 16, samples=64, bucket=8)
    data = TextData(
        str(path), train_length=16, batch_size=8, steps_per_epoch=4, growth=lengths, seed=1
    )
    seen = Widths()
    callbacks = [seen, *of_trainer.pop("callbacks", [])]
    trainer = L.Trainer(
        accelerator="cpu", max_steps=steps, logger=False, default_root_dir=root,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        limit_val_batches=1, num_sanity_val_steps=1, callbacks=callbacks, **of_trainer,
    )  # fmt: skip
    trainer.fit(LanguageModel(EncoderSpec(16, 2, 1), 256), data, ckpt_path=ckpt)
    assert seen.validated == {16}
    first = torch.arange(0, 8 * len(seen.trained) + 800, 8)
    wanted = lengths(1, "train", first).tolist()
    start = 0 if ckpt is None else 3
    assert seen.trained == wanted[start : start + len(seen.trained)]
    return seen.trained, trainer


@pytest.mark.slow
def test_text_grows_with_the_steps_and_goes_on_where_it_was(tmp_path: Path) -> None:
    whole, _ = widths(tmp_path, 10)
    assert len(set(whole)) > 3
    _, trainer = widths(tmp_path, 3)
    trainer.save_checkpoint(tmp_path / "at.ckpt")
    rest, _ = widths(tmp_path, 10, tmp_path / "at.ckpt")
    assert rest == whole[3:]


@pytest.mark.slow
def test_batches_grow_by_accumulation(tmp_path: Path) -> None:
    """Lightning's scheduler: one batch a step in the first epoch, two in the others."""
    growing = GradientAccumulationScheduler({0: 1, 1: 2})
    seen, trainer = widths(tmp_path, 8, callbacks=[growing])
    assert trainer.global_step == 8
    assert len(seen) == 4 + 2 * 4
