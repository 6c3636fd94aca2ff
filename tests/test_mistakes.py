"""Whatever a person gets wrong ends in one line, exit status 2, and nothing left behind.

The command lines and files are those of `tests/mistakes.py` (B27-B32, E6, E7, G11, G13, G15).
"""

import os
from pathlib import Path

import pytest

from lightning_posenc.cli import main
from lightning_posenc.mistakes import terminal
from lightning_posenc.mistakes.library_errors import explained
from lightning_posenc.mistakes.one_line import guarded
from tests.mistakes import FIT, KINDS, lay_out

ROOT = Path(__file__).parents[1]
CHEAP = ("commands", "tasks", "encodings")
TRAINED = (
    "report",
    "sweep",
    "diagnose",
    "places that cannot be written",
    "checkpoints and options",
)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("mistakes")
    quick = str(ROOT / "configs" / "quickstart.yaml")
    return {**lay_out(folder), "root": str(ROOT), "quick": quick, "run": str(folder / "run")}


@pytest.fixture(scope="module")
def run(paths: dict[str, str]) -> None:
    trained = [f"--run_dir={paths['run']}" if "run_dir" in word else word for word in FIT]
    assert main([filled(word, paths) for word in trained]) == 0


def filled(word: str, paths: dict[str, str]) -> str:
    for name, path in paths.items():
        word = word.replace(f"{{{name}}}", path)
    return word.replace("{{", "{").replace("}}", "}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        pytest.param(kind, lines, id=kind, marks=() if kind in CHEAP else pytest.mark.slow)
        for kind, lines in KINDS.items()
    ],
)
def test_it_ends_in_one_line(
    kind: str,
    lines: list[list[str]],
    paths: dict[str, str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if kind in TRAINED:
        request.getfixturevalue("run")
    place = Path(paths["folder"]).parent
    monkeypatch.chdir(tmp_path)
    wrong = []
    for line in lines:
        before = {*place.rglob("*"), *tmp_path.rglob("*")}
        capsys.readouterr()
        try:
            status: object = main([filled(word, paths) for word in line])
        except BaseException as error:
            status = repr(error)
        said = capsys.readouterr().err
        left = sorted(map(str, {*place.rglob("*"), *tmp_path.rglob("*")} - before))
        errors = [each for each in said.splitlines() if each.startswith("error: ")]
        if status != 2 or len(errors) != 1 or "Traceback" in said or left:
            wrong.append((line[-1], status, errors, left))
    assert not wrong


def test_there_are_many() -> None:
    assert sum(len(lines) for lines in KINDS.values()) >= 300


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "a.ckpt"), "a.ckpt: no space left on device: free"),
        (OSError(30, "Read-only file system", "run"), "run: read-only file system: name a place"),
        (RuntimeError("[enforce fail] . unexpected pos 420544 vs 420432"), "is the disk full?"),
        (
            RuntimeError(
                "The current optimizer, AdamW, does not allow for gradient clipping because"
            ),
            "--model.optimizer.fused=false",
        ),
        (
            RuntimeError(
                "Early stopping conditioned on metric `train/loss` which is not available. Pass in "
                "or modify your `EarlyStopping` callback to use any of the following: `val/loss`"
            ),
            "EarlyStopping: monitor=train/loss has no value when it looks; what has one: `val/los",
        ),
        (
            RuntimeError(
                "Error(s) in loading state_dict for Net:\n\tsize mismatch for head.weight: "
                "copying a param with shape torch.Size([2, 64]) from checkpoint, the shape in "
                "current model is torch.Size([3, 64])."
            ),
            "head.weight is [2, 64] there and [3, 64] here",
        ),
        (ValueError("`use_muon` must be set."), "--model.muon_groups=true, and an optimizer that"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (MemoryError(), "not enough memory"),
        (ModuleNotFoundError("No module named 'transformers'"), "install it"),
        (EOFError("Ran out of input"), "a file ends too early"),
    ],
)
def test_what_libraries_raise(error: Exception, said: str) -> None:
    """B22, B28, B29, B30, G11."""
    line = explained(error)
    assert line is not None
    assert said in line
    assert "\n" not in line


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("x"), InterruptedError("told")])
def test_what_nobody_can_mend_is_raised(error: Exception) -> None:
    assert explained(error) is None


def test_a_users_own_module_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """B32: "too many values to unpack" said neither where nor how to find out."""
    (tmp_path / "theirs.py").write_text("def broken():\n    a, b = 1, 2, 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    import theirs  # type: ignore[import-not-found]

    assert guarded(theirs.broken, (ValueError,)) == 2
    said = capsys.readouterr().err
    assert "too many values to unpack (expected 2) (theirs.py, line 2, in broken; " in said
    assert "LIGHTNING_POSENC_TRACEBACK=1 shows how it came there" in said


def test_output_that_nobody_reads_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """G9: `fit … | true` once failed the run."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as broken:
        monkeypatch.setattr("sys.stdout", broken)
        with terminal.forgiving_output():
            print("x" * 100_000)
            print("y", flush=True)
        assert main(["--help"]) == 0
    monkeypatch.setattr("sys.stdout", None)  # as the shell's >&- leaves it
    assert main(["--help"]) == 0


def test_ctrl_c_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert guarded(interrupted, (ValueError,)) == 130
    assert capsys.readouterr().err == "interrupted\n"
