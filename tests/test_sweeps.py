"""Every shipped sweep can be run: its trials are parsed by the command line's own parser."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightning_posenc import callbacks, model, modules, positional, positions, tasks
from lightning_posenc.catalogue import described_mixers
from lightning_posenc.sweep import definition, in_process_fit, trial_command
from lightning_posenc.sweep.definition import Definition
from lightning_posenc.sweep.searches import search_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "sweeps" / "README.md").read_text("utf-8")
FILES = sorted((ROOT / "sweeps").glob("*.yaml"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)

# Where a name of each key's classes is looked up.
HOMES = {"data.task": tasks, "model.positional": positional, "model.positions": positions}


def arguments(sweep: Definition, parameters: dict[str, Any]) -> list[str]:
    """What an agent of W&B gives to `fit`."""
    words = trial_command.expand(sweep.command, sweep.program, parameters, Path("p.json"))
    fit = trial_command.own_fit(words, [trial_command.PYTHON])
    assert fit is not None
    return fit


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without configs, as from a wheel: those of the package are meant."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, marks=[pytest.mark.slow] * (file.stem != "quick")) for file in FILES],
    ids=lambda file: file.stem,
)
def test_first_and_last_trial_are_parsed(file: Path) -> None:
    sweep = definition.load(file)
    found = search_of(sweep, seed=0)
    for number in (0, min(size for size in (found.size, sweep.run_cap) if size) - 1):
        trial = arguments(sweep, found.parameters(found.point(number, ())))
        assert in_process_fit.parse(trial) is None


@each_file
def test_every_class_that_is_named_exists(file: Path) -> None:
    sweep = definition.load(file)
    for parameter in sweep.parameters:
        for value in parameter.choices or () if parameter.name in HOMES else ():
            given = json.loads(value) if value.startswith("{") else {"class_path": value}
            kind = getattr(HOMES[parameter.name], given["class_path"])
            assert set(given.get("init_args", ())) <= set(kind.__init__.__annotations__)
    for word in sweep.command:
        if word.startswith("--trainer.callbacks+="):
            assert hasattr(callbacks, word.partition("=")[2])


def test_nested_parameters_arrive_as_an_agent_writes_them() -> None:
    encoder = {"d_model": 16, "n_heads": 2, "n_layers": 2, "feed_forward": "MLP"}
    sweep = definition.load(ROOT / "sweeps" / "quick.yaml")
    values = {"model.encoder": encoder, "data.eval_lengths": [8, 16], "data.task": "Shift"}
    trial = arguments(sweep, values)
    assert f"--model.encoder={encoder}" in trial  # the repr of a dictionary
    assert in_process_fit.parse(trial) is None
    wrong = arguments(sweep, {"model.encoder": {**encoder, "layers": 2}})
    assert "layers" in str(in_process_fit.parse(wrong))


def test_quick_can_tell_encodings_from_none() -> None:
    sweep = definition.load(ROOT / "sweeps" / "quick.yaml")
    sizes = {parameter.name: len(parameter.choices or ()) for parameter in sweep.parameters}
    assert sizes == {"seed_everything": 2, "data.task": 2, "model.positional": 6}
    assert modules.TokenClassifier.__name__ in " ".join(sweep.command)


@each_file
def test_it_is_told_of_with_its_number_of_trials(file: Path) -> None:
    sweep = definition.load(file)
    size = search_of(sweep, seed=0).size or sweep.run_cap
    (line,) = (row for row in README.splitlines() if row.startswith(f"| `{file.name}` |"))
    assert line.split("|")[-2].split(",")[0].strip() == str(size)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "direction"), [("mixers", "bidirectional"), ("mixers_causal", "causal")]
)
def test_every_pair_of_mixer_and_encoding_that_works_is_tried(stem: str, direction: str) -> None:
    sweep = definition.load(ROOT / "sweeps" / f"{stem}.yaml")
    (values,) = (each.choices for each in sweep.parameters if each.name == "model")
    pairs = []
    for value in map(json.loads, values or ()):
        mixer = value["encoder"]["mixer"]
        name = mixer if isinstance(mixer, str) else mixer["class_path"]
        pairs.append((name, value["positional"], "mask" in value["encoder"]))
    assert len(set(pairs)) == len(pairs)
    mixers = dict.fromkeys((name, masked) for name, _, masked in pairs)
    assert pairs == [
        (name, encoding, masked)
        for name, masked in mixers
        for encoding in ("NoPE", "Sinusoidal", "RoPE")
        if described_mixers.tried(getattr(model, name), getattr(positional, encoding))
        in ("yes", direction)
    ]


def test_they_are_found() -> None:
    assert {file.stem for file in FILES} >= {"quick", "encodings", "depth", "length_ruoss"}
