"""What a program or a notebook does to `api.fit` that no command line does."""

import enum
import os
import threading
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
import yaml
from torch.utils.data import DataLoader

from lightning_posenc import api
from lightning_posenc.api import words
from lightning_posenc.positional import RoPE
from lightning_posenc.runs import run_directory
from lightning_posenc.training.parser import _IN_A_FOLDER

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{what}")
    for what in ("num_workers", "could not find the monitored key", "is an instance of `nn.Module`")
]
QUIET: dict[str, Any] = {
    "max_steps": 2, "enable_progress_bar": False, "accelerator": "cpu", "log_every_n_steps": 1,
}  # fmt: skip


class Colour(enum.IntEnum):
    RED = 1


class Bare(L.LightningModule):
    """No test, no hyperparameters that YAML knows."""

    def __init__(self, net: torch.nn.Module, norm: Any = torch.nn.LayerNorm) -> None:
        super().__init__()
        self.save_hyperparameters({"net": net, "norm": norm, "colour": Colour.RED, "ns": (1, 2)})
        self.net = net
        self.raises: BaseException | None = None

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if self.raises is not None:
            raise self.raises
        return self.net(batch).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Numbers(L.LightningDataModule):
    def train_dataloader(self) -> DataLoader[torch.Tensor]:
        return DataLoader(torch.ones(8, 2))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def bare() -> tuple[Bare, Numbers]:
    return Bare(torch.nn.Linear(2, 1)), Numbers()


def test_objects_that_yaml_does_not_know_are_described(capfd: pytest.CaptureFixture[str]) -> None:
    run = api.fit(*bare(), trainer=QUIET, run_dir="run")
    told = yaml.safe_load(Path("run/config.yaml").read_text())["model"]["init_args"]
    assert told["net"]["class_path"] == "torch.nn.modules.linear.Linear"
    assert told["net"]["init_args"]["in_features"] == 2
    assert told["norm"] == "torch.nn.modules.normalization.LayerNorm"
    assert (told["colour"], told["ns"]) == ("RED", [1, 2])
    assert run.status == "finished"
    assert Path("run/run.html").is_file()
    said = "".join(capfd.readouterr())
    assert "no test follows: Bare has no test_step and Numbers has no test_dataloader" in said
    assert "litlogger" not in said


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), RuntimeError("y")])
def test_after_an_error_the_process_is_free(error: BaseException) -> None:
    module, data = bare()
    module.raises = error
    with pytest.raises(type(error)):
        api.fit(module, data, trainer=QUIET, run_dir="run")
    assert run_directory.RUN_DIR not in os.environ
    assert api.fit(*bare(), trainer=QUIET, run_dir="other").status == "finished"


def test_what_lightning_refuses_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="invalid accelerator name"):
        api.fit(*bare(), trainer={**QUIET, "accelerator": "abacus"}, run_dir="run")
    assert not Path("run").exists()


@pytest.mark.parametrize("fits", ["config", "objects"])
def test_a_process_has_one_run_at_a_time(fits: str) -> None:
    seeds = {name: os.environ.get(name) for name in run_directory.SEEDS}
    told: list[BaseException] = []

    def fit() -> None:
        try:
            if fits == "config":
                api.fit("quickstart", run_dir="other")
            else:
                api.fit(*bare(), trainer=QUIET, run_dir="other")
        except ValueError as error:
            told.append(error)

    with run_directory.alone():
        directory = run_directory.choose(Path("run"), "name", resumes=False)
        thread = threading.Thread(target=fit)
        thread.start()
        thread.join()
        assert "another run goes on in this process" in str(told[0])
        assert (directory / ".lock").exists()  # it is still the first one's
        os.environ["PL_GLOBAL_SEED"] = "7"
    assert {name: os.environ.get(name) for name in run_directory.SEEDS} == seeds
    assert not Path("other").exists()


def test_while_one_thread_reads_a_config_another_waits() -> None:
    """jsonargparse changes the folder of the whole process; two at once once left it elsewhere."""
    found: list[str] = []

    def parse() -> None:
        with pytest.raises(ValueError, match="no such class"):
            api.fit("quickstart", {"model.positional": "Nonsense"})
        found.append("ended")

    thread = threading.Thread(target=parse)
    with _IN_A_FOLDER:
        thread.start()
        thread.join(0.5)
        assert not found
    thread.join()
    assert found


def test_settings_are_what_files_can_hold() -> None:
    given = {"a": np.int64(2), "b": torch.tensor(1.5), "c": [RoPE], "d": np.array([1, 2])}
    path = f"{RoPE.__module__}.RoPE"
    assert words.settings({**given, "e": Colour.RED}) == [
        "--a=2", "--b=1.5", f"--c=[{path}]", "--d=[1, 2]", "--e=RED",
    ]  # fmt: skip
    assert yaml.safe_load(words.as_yaml({"x": given, "p": Path("q")})) == {
        "x": {"a": 2, "b": 1.5, "c": [path], "d": [1, 2]}, "p": "q",
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"model\.positional=<object .*: a object is no value"):
        words.settings({"model": {"positional": object()}})
