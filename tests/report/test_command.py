"""The command `report`: its files, its page, its errors."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from lightning_posenc.cli import main
from lightning_posenc.report.command import HELP
from tests.report.conftest import accuracies
from tests.report.made_runs import class_of, config, write


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.open = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [v or "" for k, v in attributes if k in ("src", "href", "srcset")]


@pytest.fixture(scope="module")
def out(study_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    arguments = [f"--out={out}", "--export=csv,parquet,latex"]
    assert main(["report", str(study_directory), *arguments]) == 0
    return out


def test_the_page_needs_no_other_file(out: Path) -> None:
    text = (out / "report.html").read_text("utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert page.tags.count("img") == 2 + 2 + 2 * 4
    links = [each for each in page.references if not each.startswith("data:image/png;base64,")]
    assert len(links) == 18  # each run's own page, which is there to be read, and nothing else
    assert all((out / each).resolve().name == "run.html" for each in links)
    assert all((out / each).is_file() for each in links)
    assert "@import" not in text
    assert "url(" not in text
    assert "//" not in re.sub(r"data:image/png;base64,[^\"]*", "", text)
    assert 'name="viewport"' in text


def test_what_the_page_says(out: Path) -> None:
    for name in ("report.html", "report.md"):
        text = (out / name).read_text("utf-8")
        for said in (
            "3 positional encodings on Copy, Reverse",
            "18 finished runs, 3 seeds, 2 not finished",
            "RoPE 0.950 ± 0.049 is best, significantly better than ALiBi 0.900 ± 0.052",
            "100-failed",
            "OutOfMemoryError: 2 GiB",
            "signal 9",
            "the larger p of a paired t test and of a t test against the scatter of all rows",
            "over all 6 tests of this table",
            "by 0.05033 ± 0.0033 over 3 common seeds, p ",
            "≥ 40",
            "--model.positional=ALiBi",
            "resident set of the process",
            "12.51",
            "Diagnostics by depth: Reverse",
        ):
            assert said in text, (name, said)


def test_markdown_shows_pictures_that_are_there(out: Path) -> None:
    text = (out / "report.md").read_text("utf-8")
    assert "| RoPE | **0.950 ± 0.049** ▲ |" in text
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert len(pictures) == 12
    for picture in pictures:
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
        numbers = json.loads((out / picture).with_suffix(".json").read_text())
        assert set(numbers["rows"]) == {"NoPE", "ALiBi", "RoPE"}


def test_exports_read_back(out: Path) -> None:
    frames = [pd.read_csv(out / "report.csv", dtype={"seed": str}),
              pd.read_parquet(out / "report.parquet")]  # fmt: skip
    for frame in frames:
        one = frame.query("row == 'RoPE' and column == 'Copy' and seed == '1'")
        numbers = dict(zip(one["metric"], one["value"], strict=True))
        assert numbers["test/acc/len_30"] == pytest.approx(accuracies("RoPE", 1)[30])
        assert numbers["effective_length/acc"] == 20
        assert numbers["seconds_per_step"] == pytest.approx(0.01201)
        assert "probe/mae/layer_04" in numbers
        assert not frame.duplicated(["run", "metric"]).any()
    assert len(frames[0]) == len(frames[1])
    latex = (out / "report.tex").read_text()
    assert r"\textbf{0.950 $\pm$ 0.049$^{\uparrow}$}" in latex
    assert r"\toprule" in latex


@pytest.mark.slow
def test_the_same_runs_elsewhere_give_the_same_report(
    study_directory: Path, out: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(study_directory, moved)
    for summary in moved.rglob("summary.json"):  # the place is part of the command
        summary.write_text(summary.read_text().replace(str(study_directory), str(moved)))
    assert main(["report", str(moved), "--export=latex"]) == 0
    names = ("report.md", "report.tex")
    for path in [*(out / name for name in names), *sorted((out / "figures").iterdir())]:
        assert (moved / path.relative_to(out)).read_bytes() == path.read_bytes(), path
    # From elsewhere the way to each run's own page is another.
    pages = [(each / "report.html").read_text("utf-8") for each in (out, moved)]
    first, second = (re.sub(r'<a href="[^"]*run\.html">', "<a>", text) for text in pages)
    assert first == second


def test_the_terminal_shows_the_table(
    study_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "150")
    arguments = ["--by=model.positional", "--filter=data.task=Copy", "--metric=test/acc/len_40"]
    assert main(["report", str(study_directory), *arguments, f"--out={tmp_path}"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"RoPE +0.550 ± 0.049", shown)
    assert "Reverse" not in shown
    assert str(tmp_path / "report.html") in shown


def test_a_run_alone_is_reported_where_it_lies(tmp_path: Path) -> None:
    made = config(class_of("positional", "X"), class_of("tasks", "<b>", n="\\|"), 0, lengths=(20,))
    run = write(tmp_path / "runs" / "a|b", made, {20: 0.5}, diagnostics=False)
    (run / "figures").mkdir()
    assert main(["report", str(run)]) == 0
    text = (tmp_path / "runs" / "report.html").read_text()
    assert "One seed each: no interval and no test" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in re.sub(r"<b>(&lt;b&gt;|a\|b)</b>", "", text)
    assert not list((run / "figures").iterdir())  # those of the run are its own


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--metric=test/acc/len_41"], "--metric test/acc/len_41: no finished run has logged it: "
         "did you mean test/acc/len_40"),
        (["--metric=val/own"], "no finished run has logged it"),
        (["--by=model.positonal"], "--by model.positonal: no run has that key: did you mean "
         "model.positional"),
        (["--columns=task"], "--columns task: no run has that key: did you mean data.task?"),
        (["--filter=seed"], "--filter seed: not KEY=VALUE"),
        (["--filter=seed=9"], "--filter seed=9: no run has it: there is 0, 1, 2, 3"),
        (["--baseline=T5"], "--baseline T5: no row has that name: there is ALiBi, NoPE, RoPE"),
        (["--export=pdf"], "--export pdf: choose from csv,parquet,latex"),
        (["--goal=up"], "argument --goal: invalid choice"),
        (["--what"], "unrecognized arguments: --what"),
        (["--seed=data.sed"], "--seed data.sed: no run has that key: did you mean data.seed"),
        (["--by=data.task"], "but differ in model.positional"),
        (["--filter=seed=3"], "none of 1 runs is finished (100-failed is failed: OutOfMemory"),
    ],
)  # fmt: skip
def test_mistakes_end_in_one_line(
    study_directory: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(study_directory), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not (study_directory / "report.md").exists()


def test_no_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "no run there" in capsys.readouterr().err


def test_an_unknown_goal_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = config(class_of("positional", "NoPE"), class_of("tasks", "Copy"), 0)
    write(tmp_path / "r", made, {20: 0.5}, metrics={"val/own": 1.0})
    assert main(["report", str(tmp_path)]) == 2
    assert "say --goal max or --goal min" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--goal=max"]) == 0


@pytest.mark.slow
def test_help_and_imports_are_light(study_directory: Path, tmp_path: Path) -> None:
    """Neither torch nor Lightning is imported: 24 runs are reported in less than 10 s."""
    code = (
        "import sys; from lightning_posenc.cli import main;"
        f"main(['report', '--help']); assert 'pandas' not in sys.modules;"
        f"main(['report', {str(study_directory)!r}, '--out', {str(tmp_path)!r}]);"
        "sys.exit(any(m in sys.modules for m in ('torch', 'lightning', 'wandb')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert HELP.splitlines()[0] in done.stdout


def test_a_place_that_cannot_be_written_is_one_line(
    study_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """G11: --out ended in tracebacks."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nothing" / "there")
    for name in ("file/below", "x" * 300, "link"):
        assert main(["report", str(study_directory), f"--out={tmp_path / name}"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: --out")
        assert error.count("\n") == 1
