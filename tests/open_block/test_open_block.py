"""A mixer, an expert layer and an input, each one file outside the package.

They are trained, saved, resumed, observed, and refused in one line where they cannot serve.
"""

import csv
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_posenc import Dims, Encoder
from lightning_posenc.callbacks import AttentionStatistics
from lightning_posenc.cli import main
from lightning_posenc.data import Batch
from lightning_posenc.diagnostics import observe
from lightning_posenc.masks import Window
from lightning_posenc.model import Attention, EncoderSpec
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.penalties import penalties
from lightning_posenc.modules import LanguageModel, SequenceClassifier
from lightning_posenc.modules.decoding import greedy
from lightning_posenc.positional import ALiBi, Chain, CoPE, NoPE, PerLayer, RoPE
from tests.open_block.elu_sum import EluSum
from tests.open_block.patches import Tiles
from tests.open_block.two_experts import TwoExperts

HERE = "tests.open_block"
TASK = {
    "class_path": "SyntheticData",
    "init_args": {"task": "PositionPattern", "train_length": 16, "eval_lengths": [16],
                  "batch_size": 32, "steps_per_epoch": 10, "eval_samples": 32},
}  # fmt: skip
SIZES = {"d_model": 32, "n_heads": 4, "n_layers": 2, "init_std": 0.1}
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "elu_sum": (
        {"mixer": {"class_path": f"{HERE}.elu_sum.EluSum",
                   "init_args": {"bias": False}}},
        {"positional": "RoPE"},
        TASK,
    ),
    "both mixers": (
        {"mixer": [f"{HERE}.elu_sum.EluSum", "Attention"]},
        {"positional": "RoPE"},
        TASK,
    ),
    "two_experts": (
        {"feed_forward": {"class_path": f"{HERE}.two_experts.TwoExperts",
                          "init_args": {"balance": 0.5}}},
        {"positional": "LearnedAbsolute"},
        TASK,
    ),
    "patches": (
        {},
        {"inputs": {"class_path": f"{HERE}.patches.Tiles", "init_args": {"side": 2}},
         "positional": "LearnedGrid",
         "positions": {"class_path": "Grid", "init_args": {"shape": [4, 4]}}},
        f"{HERE}.patches.Spots",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name != "elu_sum")) for name in MODELS],
)
def test_trains_from_a_config_by_its_dotted_path_is_saved_and_resumed(
    name: str, tmp_path: Path
) -> None:
    encoder, model, data = MODELS[name]
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.003}}
    config = tmp_path / f"{name}.yaml"
    arguments = {"encoder": SIZES | encoder, "optimizer": optimizer, "schedule": None, **model}
    config.write_text(yaml.safe_dump(
        {"model": {"class_path": "SequenceClassifier", "init_args": arguments}, "data": data,
         "trainer": {"max_epochs": 2, "log_every_n_steps": 1, "enable_progress_bar": False,
                     "enable_model_summary": False, "limit_val_batches": 1}}
    ))  # fmt: skip
    run = tmp_path / "run"
    told = ["fit", "--config", str(config), f"--run_dir={run}", "--test_after_fit=false"]
    assert main(told) == 0
    first = rows(run)
    assert main([*told, "--ckpt_path=last", "--trainer.max_epochs=3"]) == 0
    losses = [float(row["train/loss"]) for row in rows(run) if row.get("train/loss")]
    assert len(first) < len(rows(run))
    assert sum(losses[-4:]) < sum(losses[:4])
    asked = any(float(row.get("train/penalty") or 0) for row in rows(run))
    assert asked == (name == "two_experts")
    tested = ["predict", "--ckpt_path", str(run), "--trust=tests", f"--run_dir={tmp_path / 'p'}"]
    assert main([*tested, "--trainer.logger=false"]) == 0
    lines = (tmp_path / "p" / "predictions.jsonl").read_text().splitlines()
    assert ("tokens" in json.loads(lines[0])) == (name != "patches")


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def model(positional: Any = RoPE, causal: bool = True, **wiring: Any) -> Encoder:
    wiring = {"mixer": EluSum, "init_std": 0.4, **wiring}
    return Encoder(Dims(16, 2, 2, causal=causal), positional, **wiring).eval()


@pytest.mark.parametrize("causal", [True, False])
def test_linear_attention_equals_its_sums_and_pads_change_nothing(causal: bool) -> None:
    of, x = model(NoPE, causal), torch.randn(2, 7, 16)
    (mixer, _), given = of.mixers, []
    assert isinstance(mixer, EluSum)
    mixer.register_forward_hook(lambda _, args, out: given.extend((args[0], out)))
    of(x, lengths=torch.tensor([7, 5]))
    q, k, v = mixer.qkv(given[0]).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
    q, k = (torch.nn.functional.elu(part) + 1 for part in (q, k))
    weights = q @ k.mT
    if causal:
        weights = weights.tril()
    weights[1, :, :, 5:] = 0
    expected = mixer.out((weights / weights.sum(-1, True) @ v).transpose(1, 2).flatten(-2))
    torch.testing.assert_close(given[1][0], expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(given[1][1, :5], expected[1, :5], rtol=1e-4, atol=1e-5)


def test_observed_layers_without_a_softmax_show_their_stream_alone() -> None:
    """Where mixers differ, each attention is said to be of the layer that it is of."""
    x = torch.randn(2, 7, 16)
    with observe(linear := model()) as seen:
        linear(x)
    assert not seen.attention
    assert len(seen.hidden) == 3
    with observe(mixed := model(mixer=[EluSum, Attention])) as seen:
        mixed(x)
    assert seen.layers == [1]
    assert len(seen.attention) == 1
    with pytest.raises(ValueError, match=r"^AttentionStatistics measures attention weights, and"):
        AttentionStatistics().measure(classifier(), batch(), 0)


def classifier(**options: Any) -> SequenceClassifier:
    options = {"positional": RoPE, **options}
    return SequenceClassifier(EncoderSpec(16, 2, 1, mixer=EluSum), 5, 3, **options)


def batch() -> Batch:
    return Batch(torch.randint(5, (2, 6)), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: model(ALiBi), "does not honour bias of ALiBi in layer 0 (of an encoding's hooks"),
        (lambda: model(Chain.of(RoPE, CoPE)), "does not honour rescore of Chain"),
        (lambda: model(PerLayer.of(RoPE, ALiBi)), "does not honour bias of PerLayer in layer 1"),
        (lambda: model(mask=Window(3)), "does not serve a mask besides causality: leave out"),
        (lambda: model(mixer=EluSum(Dims(16, 2, 2), 0)), "give EluSum"),
        (lambda: model(mixer=TwoExperts), "mixer=TwoExperts must make a Mixer"),
        (lambda: model(feed_forward=Attention), "feed_forward=Attention must make a FeedForward"),
        (lambda: model(mixer=[EluSum] * 3), "mixer: 3 entries do not fit 2 layers"),
        (
            lambda: model()(torch.randn(1, 4, 16), documents=torch.tensor([[0, 0, 1, 1]])),
            "does not serve packed documents: let tokens see across them",
        ),
        (
            lambda: model()(torch.randn(1, 1, 16), positions=torch.zeros(1, 1), cache=Cache()),
            "does not serve a cache: generate without one",
        ),
        (
            lambda: LanguageModel(EncoderSpec(16, 2, 1), 5, inputs=Tiles),
            "tie_weights=true needs the vectors of token ids, which Tiles does not take",
        ),
        (
            lambda: LanguageModel(EncoderSpec(16, 2, 1), 5, "masked", inputs=Tiles),
            "objective=masked hides token ids, which Tiles does not take",
        ),
        (
            lambda: greedy(classifier(causal=True, inputs=Tiles), torch.zeros(1, 2).long()),  # type: ignore[arg-type]
            "decoding says token ids, which the model's Tiles does not take",
        ),
        (lambda: SequenceClassifier(EncoderSpec(16, 2, 1), None, 3), "the data has no token ids"),
        (lambda: classifier(inputs=RoPE), "inputs=RoPE must make a Inputs"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_in_one_line(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_penalties_are_summed_over_all_modules_and_composites_answer_for_their_parts() -> None:
    """A router's balance and an encoding's smoothness, each once."""
    from lightning_posenc.positional import LearnedAbsolute

    smooth = partial(LearnedAbsolute, max_length=8, smoothness=0.5)
    experts = partial(TwoExperts, balance=2.0)
    of = model(Chain.of(smooth), mixer=Attention, feed_forward=experts).train()
    x = torch.randn(2, 7, 16)
    of(x)
    unbalance = sum(block.feed_forward.unbalance for block in of.blocks)  # type: ignore[misc,union-attr]
    expected = 2.0 * unbalance + of.positional.penalty()
    total = penalties(of)
    assert total is not None
    torch.testing.assert_close(total, expected)
    total.backward()
    for block in of.blocks:
        assert block.get_parameter("feed_forward.router.weight").grad is not None
    assert penalties(model()) is None


def test_parts_initialise_themselves() -> None:
    """Experts write into the stream: their last projections start as an MLP's own does."""
    of = Encoder(Dims(64, 2, 8), feed_forward=partial(TwoExperts, d_ff=64), init_std=0.1)
    experts = of.blocks[3].get_submodule("feed_forward.experts")
    for expert in experts.children():
        assert expert.get_parameter("up.weight").std().item() == pytest.approx(0.1, rel=0.1)
        assert expert.get_parameter("out.weight").std().item() == pytest.approx(0.025, rel=0.1)
    plain = Encoder(Dims(64, 2, 8), mixer=EluSum, init_std=0.1).mixers[2]
    assert plain.get_parameter("out.weight").std().item() == pytest.approx(0.025, rel=0.1)
