"""`compile` runs the encoder compiled and changes nothing else."""

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch._dynamo.utils import counters

from lightning_posenc.cli import main
from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel
from lightning_posenc.positional import ALiBi, LearnedAbsolute, NoPE, RoPE, T5Bias
from lightning_posenc.positional.base import Factory

QUICKSTART = str(Path(__file__).parents[2] / "configs" / "quickstart.yaml")
SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=2)
LENGTHS = (9, 13, 20, 33, 50)


@pytest.mark.parametrize(
    "positional",
    [NoPE, RoPE, ALiBi, T5Bias, partial(LearnedAbsolute, max_length=64)],
    ids=["NoPE", "RoPE", "ALiBi", "T5Bias", "LearnedAbsolute"],
)
@pytest.mark.slow
def test_evaluation_lengths_share_one_dynamic_shape(positional: Factory) -> None:
    torch.compiler.reset()
    counter = CompileCounter()
    compiled = LanguageModel(SPEC, 5, positional=positional, compile={"backend": counter}).eval()
    eager = copy.deepcopy(compiled)
    for _ in ("fit", "test"):  # the Trainer calls it anew for each
        compiled.configure_model()
    graphs = []
    for length in LENGTHS:
        tokens = torch.randint(5, (3, length))
        batch = Batch(tokens, tokens)
        with torch.no_grad():
            torch.testing.assert_close(compiled.logits(batch), eager.logits(batch))
        graphs.append(counter.frame_count)
    of_first, both, *later = graphs
    # What depends on the positions' values is left out: one break, so two graphs.
    assert 1 <= of_first <= 2
    assert both <= 2 * of_first
    assert set(later) == {both}


@pytest.mark.slow
def test_gradients_are_those_of_the_eager_model() -> None:
    torch.compiler.reset()
    compiled = LanguageModel(SPEC, 5, positional=T5Bias, compile={"backend": "aot_eager"})
    eager = copy.deepcopy(compiled)
    compiled.configure_model()
    tokens = torch.randint(5, (3, 9))
    for model in (compiled, eager):
        model.logits(Batch(tokens, tokens)).square().sum().backward()
    for ours, theirs in zip(compiled.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


@pytest.fixture
def n_graphs():
    """Tells how many graphs were compiled so far."""
    torch.compiler.reset()
    counters.clear()
    return lambda: counters["stats"]["unique_graphs"]


@pytest.mark.slow
def test_a_compiled_run_is_saved_resumed_and_tested_without(tmp_path: Path, n_graphs) -> None:
    options = [
        "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}",
        "--model.compile={backend: eager}",
        "--data.steps_per_epoch=2",
        "--data.eval_samples=8",
        "--data.batch_size=8",
        "--trainer.log_every_n_steps=1",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        f"--run_dir={tmp_path / 'run'}",
        "--test_after_fit=false",
    ]
    fit = ["fit", "--config", QUICKSTART, *options]
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert main([*fit, "--trainer.max_epochs=1"]) == 0
    assert n_graphs() > 0
    state = torch.load(last, weights_only=True)["state_dict"]
    plain = LanguageModel(SPEC, 5).encoder.state_dict()
    names = {name.removeprefix("encoder.") for name in state if name.startswith("encoder.")}
    assert names - {"positional.table"} == {name for name in plain if "blocks.1" not in name}
    assert main([*fit, f"--ckpt_path={last}", "--trainer.max_epochs=2"]) == 0
    assert torch.load(last, weights_only=True)["global_step"] == 4
    compiled = n_graphs()
    plain_run = ["--model.compile=false", f"--run_dir={tmp_path / 'plain'}"]
    assert main(["test", f"--ckpt_path={last}", *plain_run]) == 0
    assert n_graphs() == compiled
