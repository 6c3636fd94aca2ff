"""E2, E5, G1, G4: what a checkpoint's own file can do, whichever way its path comes."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.distributed import checkpoint as shards

from lightning_posenc.cli import main
from lightning_posenc.runs.checkpoint_files import WholeCheckpointIO, checked
from tests.strangers.conftest import KEY, QUICKSTART, Marks, other, said, written

WAYS = ("file", "legacy", "directory", "last", "config")
COMMANDS = ("test", "validate", "predict", "fit", "diagnose")


def in_a_run(contents: Any, run: Path) -> Path:
    run.mkdir()
    (run / "config.yaml").write_text("{}\n")
    return written(contents, run / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize(
    ("command", "way"),
    [
        pytest.param(command, way, marks=[] if i == j else pytest.mark.slow)
        for i, command in enumerate(COMMANDS)
        for j, way in enumerate(WAYS)
    ],
)
def test_a_pickle_is_not_unpickled(
    command: str,
    way: str,
    whole: dict[str, Any],
    mark: Marks,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = in_a_run(other(whole, more=mark.pickled), tmp_path / "run")
    args = [f"--ckpt_path={path}"]
    if way == "legacy":
        path.write_bytes(pickle.dumps({KEY: whole[KEY], "more": mark.pickled}))
    elif way == "directory":
        args = [f"--ckpt_path={tmp_path / 'run'}"]
    elif way == "config":
        content = yaml.safe_load(Path(QUICKSTART).read_text())
        content |= {"ckpt_path": str(path), "weights_only": False}
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
        args = ["--config=c.yaml"]
    elif way == "last":
        args = ["--ckpt_path=last", f"--run_dir={tmp_path / 'run'}"]
    assert main([command, *args]) == 2
    assert mark.none()
    assert said(capsys)


def test_a_file_cannot_switch_safety_off(
    whole: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(whole, tmp_path / "good.ckpt")
    (tmp_path / "c.yaml").write_text(f"ckpt_path: {path}\nweights_only: false\n")
    assert main(["test", "--config=c.yaml"]) == 2
    assert "weights_only=false" in said(capsys)


@pytest.mark.parametrize("where", ["http://localhost:9/x.ckpt", "memory://x", "file:///x.ckpt"])
def test_nothing_is_fetched(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text(f"ckpt_path: {where}\n")
    for command, arg in (("test", "--config=c.yaml"), ("fit", f"--ckpt_path={where}")):
        assert main([command, arg]) == 2
        assert "nothing is fetched" in said(capsys)


def hole(data: bytes) -> bytes:
    """Four kilobytes of the largest part overwritten: the list of parts stays whole."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        part = max(archive.infolist(), key=lambda part: part.file_size)
    start = part.header_offset + 512
    return data[:start] + bytes(64) + data[start + 64 :]


def compressed(data: bytes) -> bytes:
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as archive,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    return made.getvalue()


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "is damaged": hole,
    "is compressed": compressed,
    "no file of torch.save": lambda data: data[: len(data) // 2],
}


@pytest.mark.parametrize("why", DAMAGED)
def test_damage_is_found_before_every_load(
    why: str, whole: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """G4, G17: in every command, and from Python."""
    path = written(whole, tmp_path / "bad.ckpt")
    path.write_bytes(DAMAGED[why](path.read_bytes()))
    for command in COMMANDS if why == "is damaged" else ():
        assert main([command, f"--ckpt_path={path}"]) == 2
        assert why in said(capsys)
    with pytest.raises(ValueError, match=why):
        WholeCheckpointIO().load_checkpoint(path)


def parts(whole: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    """Odd contents, and what is said of them."""
    name, table = next(iter(whole["state_dict"].items()))
    loops = whole["loops"]

    def weights(value: Any) -> dict[str, Any]:
        return other(whole, state_dict={**whole["state_dict"], name: value})

    return {
        "only a config": ({KEY: whole[KEY]}, "no global_step"),
        "no mapping": ([1], "holds no mapping"),
        "no weights": (other(whole, state_dict={}), "holds no weights"),
        "steps": (other(whole, global_step="many"), "global_step is str"),
        "negative steps": (other(whole, global_step=-1), "global_step is -1"),
        "no loops": (other(whole, loops={}), "no fit_loop"),
        "a loop": (other(whole, loops={**loops, "test_loop": 1}), "test_loop is int"),
        "progress": (other(whole, loops={**loops, "fit_loop": {}}), "how far the training was"),
        "callbacks": (other(whole, callbacks="x"), "callbacks is str"),
        "optimizers": (other(whole, optimizer_states=[]), "no state of an optimizer"),
        "an optimizer": (other(whole, optimizer_states=[{}]), "optimizer_states holds no state"),
        "schedules": (other(whole, lr_schedulers=["x"]), "lr_schedulers holds no state"),
        "NaN": (weights(table * float("nan")), "holds NaN"),
        "expanded": (weights(torch.zeros(1).expand(10**12)), "more numbers than the file holds"),
    }


def test_odd_parts_are_said_in_one_line(whole: dict[str, Any], tmp_path: Path) -> None:
    """E5."""
    assert checked(written(whole, tmp_path / "good.ckpt"), resumes=True).keys() == whole.keys()
    for n, (contents, why) in enumerate(parts(whole).values()):
        path = written(contents, tmp_path / f"{n}.ckpt")
        with pytest.raises(ValueError, match=why):
            checked(path, resumes=True)


def test_no_callbacks_state_removes_a_file(tmp_path: Path) -> None:
    """ModelCheckpoint removes what its state calls the former checkpoint."""
    (tmp_path / "checkpoints").mkdir()
    for name in ("important.txt", "x.ckpt"):
        (tmp_path / name).write_text("")
        WholeCheckpointIO().remove_checkpoint(tmp_path / "checkpoints" / ".." / name)
        assert (tmp_path / name).exists()
    WholeCheckpointIO().remove_checkpoint(tmp_path / "x.ckpt")
    assert not (tmp_path / "x.ckpt").exists()


@pytest.mark.filterwarnings("ignore:torch.distributed is", "ignore:Detected an existing")
def test_a_directory_of_shards(whole: dict[str, Any], mark: Marks, tmp_path: Path) -> None:
    """G1: neither its `.metadata` nor a value among its shards is unpickled."""
    path = tmp_path / "shards.ckpt"
    meta = {key: value for key, value in whole.items() if key not in ("state_dict", "optimizer")}

    def write(state: dict[str, Any]) -> None:
        shards.save(state, checkpoint_id=path, no_dist=True)
        torch.save(meta, path / "meta.pt")

    write({"model": {"weight": torch.ones(3)}, "optimizer": {"lr": 0.1}})
    assert checked(path)["global_step"] == whole["global_step"]
    write({"model": {"weight": torch.ones(3)}, "optimizer": {"lr": mark.pickled}})
    with pytest.raises(ValueError, match="more than tensors and plain values"):
        checked(path)
    (path / ".metadata").write_bytes(pickle.dumps(mark.pickled))
    with pytest.raises(ValueError, match=r"more than tensors and plain values, posix\.system"):
        checked(path)
    assert main(["validate", f"--ckpt_path={path}"]) == 2
    assert mark.none()


def _random(**state: Any) -> Callable[[dict[str, Any]], None]:
    def change(contents: dict[str, Any]) -> None:
        contents["callbacks"]["RandomState"] = {"ranks": [state]}

    return change


def _data(part: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(contents: dict[str, Any]) -> None:
        state = contents["SyntheticData"]
        contents["SyntheticData"] = {**state, part: value}
        if value is None:
            del contents["SyntheticData"][part]

    return change


ODD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "the state of a callback": lambda c: c["callbacks"].update(RandomState=3),
    "the state of Lightning's": lambda c: c["callbacks"].update(
        {key: {"x": 1} for key in c["callbacks"] if "RunCheckpoint" in key}
    ),
    "no random state": _random(cpu=3, device=None),
    "a short random state": _random(cpu=torch.zeros(3, dtype=torch.uint8), device=None),
    "a weight without a name": lambda c: c["state_dict"].update({3: torch.zeros(2)}),
    "data without lengths": _data("lengths", None),
    "data without its stream": _data("stream", None),
    "data whose lengths are none": _data("lengths", ["a", 2]),
    "data without a meaning": _data("meaning", {}),
    "options of optimizers": lambda c: c.update(lightning_posenc_optimizers=3),
    "a schedule": lambda c: c.update(lr_schedulers=[{"last_epoch": "x"}]),
    "a loop": lambda c: c["loops"]["fit_loop"].update(state_dict=3, epoch_progress=3),
}
SAYS = ("not as fit writes it", "is not a whole checkpoint", "does not fit")


FEW = {"the state of Lightning's", "no random state", "data without its stream", "a schedule"}


@pytest.mark.parametrize(
    "part", [pytest.param(p, marks=() if p in FEW else pytest.mark.slow) for p in ODD]
)
@pytest.mark.parametrize("command", ["fit", pytest.param("test", marks=pytest.mark.slow)])
def test_an_odd_part_is_one_line(
    command: str,
    part: str,
    whole: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also of what Lightning takes up, and what is taken up when training begins (kind 11)."""
    contents = other(whole)
    ODD[part](contents)
    ckpt_path = written(contents, tmp_path / "odd.ckpt")
    more = ["--trainer.max_epochs=2"] if command == "fit" else []
    status = main([command, f"--ckpt_path={ckpt_path}", "--run_dir=out", *more])
    if status == 0:  # what a test does not read
        assert command == "test"
        return
    line = said(capsys)
    assert status == 2
    assert any(text in line for text in SAYS), line
    assert not Path("out").exists()
