"""Configs and sweeps by name, from wherever a command is run, from a clone and from a wheel."""

import tomllib
from pathlib import Path

import pytest

from lightning_posenc import shipped
from lightning_posenc.cli import main
from lightning_posenc.sweep import definition, trial_command

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_they_are_listed_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for kind in shipped.KINDS:
        for file in (ROOT / kind).glob("*.yaml"):
            [line] = [each for each in lines if each.split()[:1] == [file.stem]]
            assert len(line.split()) > 2, "a file's first comment says what it is"
            assert len(line) < 140


def test_one_is_printed_and_saved_and_nothing_written_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = (ROOT / "configs" / "quickstart.yaml").read_text("utf-8")
    assert main(["configs", "quickstart"]) == 0
    assert capsys.readouterr().out == own
    assert main(["configs", "quickstart", "--save", "mine"]) == 0
    assert Path("mine", "quickstart.yaml").read_text("utf-8") == own
    assert main(["configs", "quickstart", "--save", "mine"]) == 2
    assert "quickstart.yaml exists" in capsys.readouterr().err
    assert main(["configs", "quikstart"]) == 2
    assert "did you mean quickstart?" in capsys.readouterr().err
    assert main(["configs", "--save", "."]) == 2


def test_a_file_that_exists_is_meant_before_one_that_is_shipped() -> None:
    shipped_one = shipped.folder("configs") / "quickstart.yaml"
    for given in ("quickstart", "quickstart.yaml", "configs/quickstart.yaml"):
        assert shipped.path_of("configs", given) == str(shipped_one)
    Path("configs").mkdir()
    Path("configs", "quickstart.yaml").write_text("mine")
    assert shipped.path_of("configs", "configs/quickstart.yaml") == "configs/quickstart.yaml"
    assert shipped.path_of("configs", "nothing.yaml") == "nothing.yaml"
    in_full = "{" + "a: 1, " * 1000 + "}"  # too long to be asked of a file system
    assert shipped.path_of("configs", in_full) == in_full
    args = ["fit", "--config", "quickstart", "--config=tagging", "--name", "quickstart"]
    tagging = shipped.folder("configs") / "tagging.yaml"
    assert shipped.with_paths(args) == [
        "fit", "--config", str(shipped_one), f"--config={tagging}", "--name", "quickstart",
    ]  # fmt: skip


def test_fit_finds_them_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", "quickstart", "--print_config"])
    assert stop.value.code == 0
    assert "PositionPattern" in capsys.readouterr().out


def test_a_trial_of_a_shipped_sweep_finds_its_config() -> None:
    words = definition.load(shipped.folder("sweeps") / "quick.yaml").command
    made = trial_command.expand(words, "lightning_posenc", {}, Path("none.json"))
    found = trial_command.own_fit(made, ["python"])
    assert found is not None
    assert f"--config={shipped.folder('configs') / 'quickstart.yaml'}" in found


def test_a_wheel_holds_them() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    inside = build["targets"]["wheel"]["force-include"]
    assert inside == {kind: f"lightning_posenc/shipped/{kind}" for kind in shipped.KINDS}
