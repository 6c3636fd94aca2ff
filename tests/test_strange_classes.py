"""An encoding, a task and a mixer of somebody's own package, through `report` and `diagnose`."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_posenc.cli import main

PACKAGE = {
    "encoding": '''
import torch
from lightning_posenc.positional import RelativeBias


class RootBias(RelativeBias):
    """Falls with the root of the distance, at a rate that each head learns."""

    def __init__(self, dims, rate=1.0):
        super().__init__(dims)
        self.rate = torch.nn.Parameter(torch.full((dims.n_heads,), rate))

    def bias_at(self, delta):
        return -self.rate.view(-1, *[1] * delta.dim()) * (delta.abs() + 1).sqrt()
''',
    "task": '''
from lightning_posenc.tasks import Reverse


class MyReverse(Reverse):
    """Say it from its end."""
''',
    "mixer": '''
import torch
from lightning_posenc.model import Mixer


class Means(Mixer):
    """Every token sees the mean of all."""

    serves = frozenset({"bidirectional", "padding"})

    def __init__(self, dims, layer):
        super().__init__(dims, layer)
        self.out = torch.nn.Linear(dims.d_model, dims.d_model)

    def initialise(self, std, depth_scale):
        torch.nn.init.normal_(self.out.weight, std=std * depth_scale)

    def forward(self, x, context):
        return self.out(x.mean(dim=1, keepdim=True).expand_as(x))
''',
}
MODELS: dict[str, dict[str, Any]] = {
    "encoding": {"positional": "strange.encoding.RootBias"},
    "mixer": {"encoder": {"mixer": "strange.mixer.Means"}, "positional": "LearnedAbsolute"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two seeds of a model with their encoding, and of one with their mixer, on their task."""
    folder = tmp_path_factory.mktemp("strange")
    package = folder / "strange"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name, text in PACKAGE.items():
        (package / f"{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name, options in MODELS.items():
            encoder = {"d_model": 16, "n_heads": 2, "n_layers": 2, **options.get("encoder", {})}
            config = {
                "model": {"class_path": "TokenClassifier",
                          "init_args": {**options, "encoder": encoder}},
                "data": {"class_path": "SyntheticData",
                         "init_args": {"task": "strange.task.MyReverse", "train_length": 6,
                                       "eval_lengths": [6, 8], "batch_size": 16,
                                       "steps_per_epoch": 4, "eval_samples": 32}},
                "trainer": {"max_epochs": 1, "accelerator": "cpu", "log_every_n_steps": 1,
                            "enable_progress_bar": False, "enable_model_summary": False},
            }  # fmt: skip
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
            for seed in (0, 1):
                run = folder / "runs" / f"{name}{seed}"
                command = ["fit", f"--config={folder / name}.yaml", f"--run_dir={run}"]
                assert main([*command, f"--seed_everything={seed}"]) == 0
        yield folder / "runs"


@pytest.mark.slow
def test_a_report_compares_what_is_not_of_this_package(runs: Path, tmp_path: Path) -> None:
    assert main(["report", str(runs), "--out", str(tmp_path)]) == 0
    page = next(tmp_path.glob("*.html")).read_text("utf-8")
    for name in ("RootBias", "Means", "MyReverse"):
        assert name in page


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_doctor_examines_what_is_not_of_this_package(
    name: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = runs / f"{name}0" / "checkpoints" / "last.ckpt"
    command = ["diagnose", "--ckpt_path", str(checkpoint), "--out", str(tmp_path)]
    assert main(command) == 2  # nobody's code is imported because a file names it
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "--trust" in said
    trusted = [f"--trust=strange.{each}" for each in PACKAGE]
    assert main([*command, *trusted]) == 0
    assert "RootBias" in capsys.readouterr().out or name == "mixer"
    assert (tmp_path / "diagnosis.html").stat().st_size > 10_000


@pytest.mark.slow
def test_a_summary_is_whole(runs: Path) -> None:
    for run in runs.iterdir():
        assert json.loads((run / "summary.json").read_text())["status"] == "finished"
