"""E1, G1: no class that a checkpoint's own config names runs anything (every place × command)."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_posenc.cli import main
from lightning_posenc.training.checkpoint_config import _family
from lightning_posenc.training.trust import hint
from tests.strangers.conftest import QUICKSTART, TINY, Marks, said, spoiled

COMMANDS = ("test", "validate", "predict", "fit", "diagnose")
ENCODER = ("norm", "feed_forward", "residual", "kernel", "mask")
MODEL = ("positional", "positions", "optimizer", "schedule")
PLACES = {
    **{name: ("model", "init_args", "encoder", name) for name in ENCODER},
    **{name: ("model", "init_args", name) for name in MODEL},
    "model": ("model",),
    "data": ("data",),
    "task": ("data", "init_args", "task"),
    "length": ("data", "init_args", "train_length"),
}
# What runs commands under many names, and what is no class of the kind that is wanted.
CALLABLES = (
    "subprocess.call",
    "torch.utils.collect_env.run",
    "lightning_posenc.mistakes.one_line.os.system",
    "lightning_posenc.mistakes.one_line.fail",
    "lightning_posenc.positional.Chain.of",
    "torch.nn.functional.relu",
    "builtins.eval",
    "mine.Mine",
)


def put(config: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    *above, last = place
    for key in above:
        config = config[key]
    config[last] = value


def refuses(command: str, checkpoint: Path, *more: str) -> bool:
    return main([command, f"--ckpt_path={checkpoint}", *more]) == 2


# Each place with one command here, and with all the others among the slow tests.
CHOSEN = [(place, COMMANDS[n % len(COMMANDS)]) for n, place in enumerate(PLACES)]


@pytest.mark.parametrize(
    ("place", "command"),
    [
        pytest.param(
            place, command, marks=[] if (place, command) in CHOSEN else pytest.mark.slow,
            id=f"{place}-{command}",
        )
        for place in PLACES
        for command in COMMANDS
    ],
)  # fmt: skip
def test_a_payload_in_any_place_is_refused_by_any_command(
    place: str,
    command: str,
    whole: dict[str, Any],
    mark: Marks,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = spoiled(whole, tmp_path / "bad.ckpt", lambda c: put(c, PLACES[place], mark.spec))
    assert refuses(command, bad)
    assert mark.none()
    assert "its config names os.system" in said(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.ckpt"]


@pytest.mark.parametrize(
    ("name", "as_spec"),
    [
        pytest.param(name, n % 2, marks=[] if n > 4 else pytest.mark.slow)
        for n, name in enumerate(CALLABLES)
    ],
)
def test_no_function_and_no_unknown_module(
    name: str,
    as_spec: bool,
    whole: dict[str, Any],
    mark: Marks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither called nor imported: importing a module runs it."""
    (tmp_path / "mine.py").write_text(f"import os\nos.system({mark.command!r})\nMine = int\n")
    monkeypatch.syspath_prepend(tmp_path)
    place = "optimizer" if as_spec else "norm"
    value = {"class_path": name, "init_args": {"args": mark.command}} if as_spec else name
    bad = spoiled(whole, tmp_path / "bad.ckpt", lambda c: put(c, PLACES[place], value))
    assert refuses("test", bad)
    assert mark.none()


@pytest.mark.slow
def test_of_the_trainer_only_plain_options_are_taken(
    whole: dict[str, Any], mark: Marks, tmp_path: Path
) -> None:
    """G1: neither callbacks of others nor loggers, strategies, plugins, profilers, paths."""
    out = str(tmp_path / "elsewhere")

    def change(config: dict[str, Any]) -> None:
        config |= {"run_dir": out, "name": "../../x", "ckpt_path": "x.ckpt", "weights_only": False}
        lightning = "lightning.pytorch."
        writes = {"class_path": f"{lightning}callbacks.ModelCheckpoint"}
        calls = {"class_path": f"{lightning}callbacks.LambdaCallback"}
        csv = {"class_path": f"{lightning}loggers.CSVLogger", "init_args": {"save_dir": out}}
        simple = {"class_path": f"{lightning}profilers.SimpleProfiler"}
        config["trainer"] |= {
            "callbacks": [
                {**writes, "init_args": {"dirpath": out}},
                {**writes, "init_args": {"filename": "../../../x"}},
                {**calls, "init_args": {"setup": "os.system"}},
                mark.spec,
            ],
            "logger": csv,
            "strategy": mark.spec,
            "plugins": [mark.spec],
            "profiler": {**simple, "init_args": {"dirpath": out, "filename": "x"}},
            "default_root_dir": out,
            "devices": 1000,
        }
        config["model"]["init_args"]["compile"] = {
            "backend": mark.spec,
            "options": {"cpp.cxx": ["sh", "-c", mark.command]},
        }

    bad = spoiled(whole, tmp_path / "bad.ckpt", change)
    made = tmp_path / "made"
    assert main(["test", f"--ckpt_path={bad}", f"--run_dir={made}", "--model.compile=false"]) == 0
    assert mark.none()
    assert not Path(out).exists()
    taken = yaml.safe_load((made / "config.yaml").read_text())
    assert taken["trainer"]["callbacks"] is None
    assert taken["trainer"]["max_epochs"] == 1


OWN = """
from lightning_posenc.positional import NoPE

class Own(NoPE):
    pass
"""


@pytest.mark.slow
def test_ones_own_classes(
    whole: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Said to be known by --trust, or by the command's own naming of them."""
    (tmp_path / "own_encoding.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    name = "own_encoding.Own"

    def change(config: dict[str, Any]) -> None:
        config["model"]["init_args"]["positional"] = {"class_path": name}

    table = next(key for key in whole["state_dict"] if "positional" in key)
    weights = {key: value for key, value in whole["state_dict"].items() if key != table}
    mine = spoiled({**whole, "state_dict": weights}, tmp_path / "mine.ckpt", change)
    assert refuses("test", mine)
    assert said(capsys).endswith("if you know that code, say so: --trust own_encoding")
    assert main(["validate", f"--ckpt_path={mine}", "--trust", "own_encoding"]) == 0
    # Parsed, and refused for a later reason: the command itself names the module.
    (tmp_path / "none").write_text("")
    assert refuses("test", mine, f"--model.positional={name}", "--run_dir=none")
    assert "is a file" in said(capsys)
    (tmp_path / "c.yaml").write_text("trust: [own_encoding]\n")
    assert refuses("test", mine, "--config=c.yaml")


@pytest.mark.slow
def test_a_class_of_the_wrong_kind_in_a_users_own_config(
    mark: Marks, capsys: pytest.CaptureFixture[str]
) -> None:
    """E1 where a type is expected: refused in one line, before it is called."""
    for option, path in (
        ("model.encoder.norm", "os.system"),
        ("model.encoder.norm", "torch.utils.collect_env.run"),
        ("model.positional", "torch.nn.functional.relu"),
        ("model.optimizer", "subprocess.call"),
        ("trainer.logger", "os.system"),
    ):
        spec = f"{{class_path: {path}, init_args: {{command: {mark.command}}}}}"
        assert main(["fit", "--config", QUICKSTART, *TINY, f"--{option}={spec}"]) == 2
        assert mark.none()
        assert said(capsys)


@pytest.mark.slow
def test_options_of_compile_are_values(mark: Marks, capsys: pytest.CaptureFixture[str]) -> None:
    """E3: a class named among them is not made, nor is what is none of them passed on."""
    spec = f"{{class_path: os.system, init_args: {{command: {mark.command}}}}}"
    for options, why in (
        (f"{{backend: {spec}}}", "backend is the name of a backend"),
        (f"{{fullgraph: [[{spec}]]}}", "fullgraph is true or false"),
        ("{bakend: x}", "no option 'bakend'"),
    ):
        assert main(["fit", "--config", QUICKSTART, *TINY, f"--model.compile={options}"]) == 2
        assert why in said(capsys)
        assert mark.none()


def test_the_family_of_a_checkpoint_that_lies_in_no_run(tmp_path: Path) -> None:
    """B21: at any depth; `parents[2]` was an IndexError for /x.ckpt."""
    assert [_family(Path(path), "test") for path in ("/x.ckpt", "/a/x.ckpt", "x.ckpt")] == ["x"] * 3
    run = tmp_path / "quickstart" / "id"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("")
    assert _family(run / "checkpoints" / "last.ckpt", "test") == "quickstart"


def test_all_that_is_to_be_trusted_is_said_at_once(tmp_path: Path) -> None:
    for name in ("own_encoding", "own_mixer"):
        (tmp_path / f"{name}.py").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        said = hint("own_encoding.Mine", ["own_mixer.Mine", "os.system", "torch.nn.GELU", "no.M"])
    assert said.endswith("--trust own_encoding --trust own_mixer")
