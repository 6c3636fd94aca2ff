"""Every line of docs/remedies.md runs, and takes hold."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from lightning_posenc import masks, positions
from lightning_posenc.cli import main
from lightning_posenc.model import DeepNorm, Flex, LayerScale, ReZero
from lightning_posenc.model.mixers.qk_norm import QKNorm
from lightning_posenc.model.sigma_reparam import SigmaReparam

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "remedies.md").read_text("utf-8")
LINES = re.findall(r"^- `('?--[^`]+)`", PAGE, flags=re.MULTILINE)

QUIET = ("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false")

Effect = Callable[[Any], Any]  # what must hold of the LightningModule


def has(kind: type[nn.Module]) -> Effect:
    return lambda module: any(isinstance(part, kind) for part in module.modules())


# Of an option that is set by its own name, the option's place in the module.
PLACES: dict[str, Effect] = {
    "model.encoder.mixer.qk_norm": has(QKNorm),
    "model.encoder.sigma_reparam": has(SigmaReparam),
    "model.encoder.residual=LayerScale": has(LayerScale),
    "model.encoder.residual=ReZero": has(ReZero),
    "model.encoder.residual=DeepNorm": has(DeepNorm),
    "model.encoder.residual.init=0.1": lambda m: gain(m) == pytest.approx(0.1, abs=0.01),
    "model.encoder.norm=torch.nn.Identity": lambda m: not has(nn.LayerNorm)(m),
    "model.encoder.residual.pre_norm=true": lambda m: m.encoder.blocks[0].pre_norm,
    "model.encoder.mask=Window": lambda m: isinstance(m.encoder.masks[0], masks.Window),
    "model.encoder.mask.size=16": lambda m: m.encoder.masks[0].size == 16,
    "model.encoder.mask=[": lambda m: [each.size for each in m.encoder.masks] == [8, 512],
    "model.encoder.mixer.kernel=Flex": has(Flex),
    "model.encoder.residual.drop_path=0.1": lambda m: (
        m.encoder.blocks[1].residual_attention.drop_path.p == 0.1
    ),
    "model.checkpoint_activations": lambda m: m.encoder.checkpoint_activations,
    "model.encoder.mixer.n_kv_heads=2": lambda m: (
        m.encoder.blocks[0].attention.qkv.widths["k"] == 32
    ),
    "model.positional.layers=[0,1]": lambda m: m.positional.layers == {0, 1},
    "model.positional.encoding=FIRE": lambda m: "FIRE" in repr(m.positional),
    "model.positional.pattern=[RoPE,NoPE]": lambda m: parts(m) == ["RoPE", "NoPE"],
    "model.positional.parts=[Sinusoidal,RoPE]": lambda m: parts(m) == ["Sinusoidal", "RoPE"],
    "model.positional.shared=false": lambda m: m.positional.table.shape[0] == 2,
    "model.positional.dropout=0.1": lambda m: m.positional.dropout == 0.1,
    "model.positional.smoothness=0.01": lambda m: m.positional.penalty() is not None,
    "model.positional.max_length=2048": lambda m: len(m.positional.table) == 2048,
    "model.positional.std=2.0": lambda m: m.positional.table.std() > 1.8,
    "model.positional.scaling=YaRN": lambda m: type(m.positional.scaling).__name__ == "YaRN",
    "model.positional.scaling.factor=4": lambda m: m.positional.scaling.factor == 4,
    "model.positional.scaling.trained_length=32": lambda m: (
        m.positional.scaling.trained_length == 32
    ),
    "model.positions=Shifted": has(positions.Shifted),
    "model.positions.max_shift=100": lambda m: m.encoder.positions.max_shift == 100,
    "model.positions=Randomized": has(positions.Randomized),
    "model.positions=RandomDistances": has(positions.RandomDistances),
    "model.positions.max_position=512": lambda m: m.encoder.positions.max_position == 512,
    "model.positional_weight_decay=0.1": lambda m: group(m)["weight_decay"] == 0.1,
    "model.positional_lr_multiplier=10": lambda m: rate(m) == pytest.approx(10),
    "model.positional_warmup_steps=100": lambda m: rate(m) == pytest.approx(2 / 101),
    "model.positional_frozen_steps=100": lambda m: rate(m) == 0,
    "trainer.gradient_clip_val=1.0": lambda m: m.trainer.gradient_clip_val == 1,
    "trainer.precision=bf16-mixed": lambda m: m.trainer.precision == "bf16-mixed",
}


def gain(module: Any) -> float:
    return module.encoder.blocks[0].residual_attention.gain.mean().item()


def parts(module: Any) -> list[str]:
    return [type(part).__name__ for part in module.positional.encodings]


def group(module: Any) -> dict[str, Any]:
    (optimizer,) = module.trainer.optimizers
    return next(each for each in optimizer.param_groups if each["name"] == "positional")


def rate(module: Any) -> float:
    """The positional parameters' learning rate over the others', after one step."""
    (optimizer,) = module.trainer.optimizers
    return group(module)["lr"] / optimizer.param_groups[0]["lr"]


def effect_of(option: str) -> Effect:
    """What an option must do: named in the table, or the encoding that it sets."""
    for beginning, effect in PLACES.items():
        if option.startswith(beginning):
            return effect
    key, _, name = option.partition("=")
    assert key == "model.positional", f"say in PLACES what --{option} does"
    return lambda module: type(module.positional).__name__ == name


@pytest.mark.parametrize("line", LINES)
@pytest.mark.slow
def test_a_remedy_takes_hold(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_posenc.training.command_line import TrainingCLI

    seen: list[Any] = []
    monkeypatch.setattr(TrainingCLI, "after_fit", lambda cli: seen.append(cli.model))
    options = shlex.split(line)  # as a shell does
    quickstart = ["fit", "--config", str(ROOT / "configs" / "quickstart.yaml")]
    where = [f"--run_dir={tmp_path / 'run'}", "--trainer.fast_dev_run=1", *QUIET]
    assert main([*quickstart, *where, *options]) == 0
    (module,) = seen
    for option in options:
        assert effect_of(option.removeprefix("--"))(module), option


def test_every_ailment_has_a_remedy() -> None:
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert [section.split(".")[0] for section in sections] == [str(n + 1) for n in range(13)]
    assert all(re.search(r"^- `'?--", section, flags=re.MULTILINE) for section in sections)
