"""What W&B and TensorBoard hold of a run, read back by their own readers, with no account."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from lightning_posenc.cli import main

ROOT = Path(__file__).parents[2]
FIT = [
    "fit",
    f"--config={ROOT / 'configs' / 'quickstart.yaml'}",
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 2}",
    "--data.steps_per_epoch=4",
    "--data.eval_samples=16",
    "--data.batch_size=8",
    "--trainer.max_epochs=2",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]
WANDB = "{class_path: WandbLogger, init_args: {log_model: true, add_file_policy: immutable}}"

Record = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def offline() -> Iterator[None]:
    """An environment with nobody's settings of W&B in it but that it is offline."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        yield


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    """Let each test's environment count: wandb reads it once in a process."""
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture(scope="module")
def run(offline: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a trial of a sweep that told both loggers."""
    directory = tmp_path_factory.mktemp("loggers") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTNING_POSENC_SWEEP", "quick")
        patch.setenv("LIGHTNING_POSENC_TRIAL", "3")
        patch.setenv("WANDB_DATA_DIR", str(directory.parent))  # where wandb stages what it uploads
        told = f"--trainer.logger=[{WANDB}, TensorBoard]"
        assert main([*FIT, told, f"--run_dir={directory}"]) == 0
    assert wandb.run is None  # the next run in this process is another
    return directory


@pytest.fixture(scope="module")
def records(run: Path) -> list[Record]:
    return read(run)


@pytest.fixture(scope="module")
def events(run: Path) -> EventAccumulator:
    every = {"tensors": 0, "images": 0, "scalars": 0}
    return EventAccumulator(str(run / "tensorboard"), size_guidance=every).Reload()


def read(run: Path) -> list[Record]:
    """Every record of a run's only offline directory, by wandb's own reader."""
    (directory,) = (run / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def every(kind: str, records: list[Record]) -> list[Record]:
    return [record[kind] for record in records if record["type"] == kind]


def config_of(records: list[Record]) -> Record:
    """The run's config: what each record updates, without wandb's own part."""
    config: Record = {}
    for update in [*every("run", records), *every("config", records)]:
        config |= update.get("config", update).get("update", {})
    config.pop("_wandb", None)
    return config


def summary_of(records: list[Record]) -> Record:
    summary: Record = {}
    for update in every("summary", records):
        summary |= update.get("update", {})
    return summary


@pytest.mark.slow
def test_wandb_holds_the_nested_config_once(run: Path, records: list[Record]) -> None:
    config = config_of(records)
    assert config.pop("sweep") == {"name": "quick", "trial": "3"}
    assert config == yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["encoder"]["d_model"] == 16
    # Nothing of this run alone, which a run from its checkpoint would take over.
    assert config["trainer"]["logger"][0]["init_args"]["save_dir"] == "."


def test_wandb_knows_the_run_and_its_sweep(run: Path, records: list[Record]) -> None:
    (told,) = every("run", records)
    assert told["display_name"] == "quickstart/run"
    assert told["run_group"] == "quick"
    assert told["job_type"] == "fit"
    assert every("exit", records)[-1].get("exit_code", 0) == 0


def test_wandb_holds_every_metric_with_its_step(records: list[Record]) -> None:
    history = [entry["item"] for entry in every("history", records)]
    steps = {
        key: [item["trainer/global_step"] for item in history if key in item]
        for key in ("train/loss", "val/loss", "val/acc", "test/acc/len_32")
    }
    assert steps["train/loss"] == list(range(8))
    assert steps["val/loss"] == steps["val/acc"] == [3, 7]
    assert steps["test/acc/len_32"] == [8]


def test_wandb_summary_holds_last_best_and_test(run: Path, records: list[Record]) -> None:
    summary = summary_of(records)
    measured = json.loads((run / "summary.json").read_text())["metrics"]
    for key in ("val/loss", "val/acc", "test/loss/len_32", "test/acc/len_32"):
        assert summary[key] == pytest.approx(measured[key])
    losses = [x["item"]["val/loss"] for x in every("history", records) if "val/loss" in x["item"]]
    assert summary["best/val/loss"] == pytest.approx(min(losses))


def test_wandb_holds_the_figures(run: Path, records: list[Record]) -> None:
    (directory,) = (run / "wandb").glob("offline-run-*")
    listed = {file["path"] for part in every("files", records) for file in part["files"]}
    for name in ("accuracy", "attention"):
        (entry,) = [
            item["item"]
            for item in every("history", records)
            if f"figures/{name}.filenames" in item["item"]
        ]
        (path,) = entry[f"figures/{name}.filenames"]
        assert path in listed
        assert entry["trainer/global_step"] == 8
        stored = (directory / "files" / path).read_bytes()
        assert stored == (run / "figures" / f"{name}.png").read_bytes()


def test_wandb_holds_the_results_as_a_table(run: Path, records: list[Record]) -> None:
    (directory,) = (run / "wandb").glob("offline-run-*")
    path = directory / "files" / summary_of(records)["tables/test.path"]
    table = json.loads(path.read_text())
    assert table["columns"] == ["length", "acc", "loss", "acc without order, at best"]
    measured = json.loads((run / "summary.json").read_text())["metrics"]
    length, acc, loss, bound = table["data"][0]
    assert (length, bound) == (32, 0.25)
    assert acc == pytest.approx(measured["test/acc/len_32"])
    assert loss == pytest.approx(measured["test/loss/len_32"])


def test_wandb_takes_checkpoints_as_artifacts(run: Path, records: list[Record]) -> None:
    models = [part for part in every("artifact", records) if part["type"] == "model"]
    contents = {
        json.loads(model["metadata"])["original_filename"]: model["manifest"]["contents"][0]
        for model in models
    }
    assert contents.keys() == {"best.ckpt", "last.ckpt"}
    for name, content in contents.items():
        file = run / "checkpoints" / name
        assert Path(content["local_path"]) == file  # the policy `immutable` makes no copy
        assert int(content["size"]) == file.stat().st_size
    assert any("best" in model["aliases"] for model in models)


def test_tensorboard_holds_scalars_figures_and_the_config(
    run: Path, events: EventAccumulator
) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    text = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert yaml.safe_load(text.removeprefix("```yaml\n").removesuffix("```")) == config
    assert [event.step for event in events.Scalars("train/loss")] == list(range(8))
    assert [event.step for event in events.Scalars("test/acc/len_32")] == [8]
    assert "hp_metric" not in events.Tags()["scalars"]  # Lightning's placeholder
    for name in ("figures/accuracy", "figures/attention"):
        (image,) = events.Images(name)
        assert image.step == 8
        assert image.encoded_image_string.startswith(b"\x89PNG")
    table = events.Tensors("tables/test/text_summary")[0].tensor_proto.string_val[0].decode()
    assert table.splitlines()[0] == "| length | acc | loss | acc without order, at best |"


def test_tensorboard_holds_the_hyperparameters(events: EventAccumulator) -> None:
    def told(name: str) -> Any:
        content = events.summary_metadata[f"_hparams_/{name}"].plugin_data.content
        return plugin_data_pb2.HParamsPluginData.FromString(content)

    values = told("session_start_info").session_start_info.hparams
    assert values["model/init_args/encoder/d_model"].number_value == 16
    assert values["model/init_args/positional/class_path"].string_value.endswith("LearnedAbsolute")
    metrics = told("experiment").experiment.metric_infos
    assert [metric.name.tag for metric in metrics] == ["val/loss"]


OWN_MODULE = """
from lightning_posenc.modules import SequenceClassifier

class Own(SequenceClassifier):
    def __init__(self, *args, gain: float = 2.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.save_hyperparameters("gain")
"""


@pytest.mark.filterwarnings(r"ignore:unclosed file .*swept\.yaml:ResourceWarning")  # wandb's
@pytest.mark.slow
def test_an_agents_run_reports_to_wandb_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nested parameters, whose whole branch the agent locks, and a module of one's own that
    hands its hyperparameters to the loggers."""
    swept = {"wandb_version": 1, "trainer": {"value": {"max_epochs": 1}}}
    (tmp_path / "swept.yaml").write_text(yaml.safe_dump(swept))
    (tmp_path / "logs_itself.py").write_text(OWN_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc123")
    monkeypatch.setenv("WANDB_RUN_ID", "trial7")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(tmp_path / "swept.yaml"))
    given = ["--model=logs_itself.Own", "--trainer.max_epochs=1", f"--run_dir={tmp_path / 'run'}"]
    assert main([*FIT, *given]) == 0

    records = read(tmp_path / "run")
    assert every("run", records)[0]["run_id"] == "trial7"
    assert every("run", records)[0]["sweep_id"] == "abc123"
    assert "val/loss" in summary_of(records)
    config = config_of(records)
    trainer = config.pop("trainer")
    expected = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert trainer == expected.pop("trainer")
    assert config == expected  # and no `gain` beside model.init_args.gain


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # that of a copy has
@pytest.mark.slow
def test_a_resumed_run_goes_on_under_its_id(run: Path, tmp_path: Path) -> None:
    """And one that is only tested, from the same checkpoint, writes into a directory of its own."""
    checkpoint = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
    # A checkpoint brings no loggers: they would write with the account of whoever reads it.
    wanted = "--trainer.logger=WandbLogger"
    assert main(["predict", checkpoint, wanted, f"--run_dir={tmp_path / 'predicted'}"]) == 0
    (told,) = every("run", records := read(tmp_path / "predicted"))
    assert told["job_type"] == "predict"
    (directory,) = (tmp_path / "predicted" / "wandb").glob("offline-run-*")
    path = directory / "files" / summary_of(records)["tables/predictions.path"]
    lines = (tmp_path / "predicted" / "predictions.jsonl").read_text().splitlines()
    rows = json.loads(path.read_text())["data"]
    assert [[json.loads(cell) for cell in row] for row in rows] == [
        list(json.loads(line).values()) for line in lines
    ]

    again = shutil.copytree(run, tmp_path / "again", symlinks=True)
    (before,) = (again / "wandb").glob("offline-run-*")
    last = again / "checkpoints" / "last.ckpt"
    assert main(["fit", f"--ckpt_path={last}", wanted, "--trainer.max_epochs=3"]) == 0
    (after,) = set((again / "wandb").glob("offline-run-*")) - {before}
    assert after.name.rpartition("-")[2] == before.name.rpartition("-")[2]


@pytest.mark.slow
@pytest.mark.long
def test_wandb_is_imported_only_when_used(tmp_path: Path) -> None:
    code = (
        "import sys; from lightning_posenc.cli import main; assert main(sys.argv[1:]) == 0;"
        "sys.exit(', '.join(name for name in sys.modules if name.split('.')[0] == 'wandb') or 0)"
    )
    command = [sys.executable, "-c", code, *FIT, f"--run_dir={tmp_path / 'run'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
