"""LaTeX that compiles, whatever names runs have; figures as PDF; the methods paragraph."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from lightning_posenc.cli import main
from lightning_posenc.mistakes.escaping import latex
from lightning_posenc.report.latex import LONG, _text, tabular
from lightning_posenc.report.page import Cell, Table
from lightning_posenc.runs.png import saved
from tests.report.conftest import write_study
from tests.report.made_runs import class_of, config, write

EVIL = r"\input{/etc/passwd} %$#_{}$&~^ [x] é ≥ “a” \end{document}"


@pytest.fixture(scope="module")
def document(study_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("paper") / "x.tex"
    assert main(["report", str(study_directory), "--out", str(out)]) == 0
    return out


def check(path: Path, wide: bool = True) -> None:
    """Compile, where there is pdflatex; else balance braces and environments by a parser.

    Args:
        path: Of the document.
        wide: Whether a line may be wider than the page.
    """
    if shutil.which("pdflatex"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", path.name]
        done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:]
        assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        assert wide or not re.findall(r"Overfull .*|Float too large.*", done.stdout)
    else:
        walker = pytest.importorskip("pylatexenc.latexwalker")
        walker.LatexWalker(path.read_text("utf-8"), tolerant_parsing=False).get_latex_nodes()


@pytest.mark.slow
def test_the_document_compiles(document: Path) -> None:
    check(document)
    text = document.read_text("utf-8")
    assert r"\textbf{0.950 $\pm$ 0.049$^{\uparrow}$}" in text
    assert r"\usepackage{array,booktabs" in text
    pictures = re.findall(r"\\includegraphics\[[^]]+\]\{([^}]+)\}", text)
    assert len(pictures) == 12
    for picture in pictures:
        assert (document.parent / picture).read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_strangers_names_are_no_commands(tmp_path: Path) -> None:
    made = config(class_of("positional", "X"), class_of("tasks", EVIL), 0, lengths=(20, 40))
    write(tmp_path / "a_b&c%", made, {20: 0.5, 40: 0.4}, status="finished")
    made = config(class_of("positional", EVIL), class_of("tasks", EVIL), 0, lengths=(20, 40))
    write(tmp_path / "d#e", made, {20: 0.5, 40: 0.4}, versions={"torch": EVIL}, device=f"{EVIL} 中")
    assert main(["report", str(tmp_path), "--latex"]) == 0
    text = (tmp_path / "report.tex").read_text("utf-8")
    assert r"\input{/etc" not in text
    assert text.count(r"\end{document}") == 1
    assert r"\texttt{U+4E2D}" in text
    check(tmp_path / "report.tex")


def test_every_sign_is_text() -> None:
    for sign in map(chr, (*range(32, 383), 0x3B1, 0x2212, 0x1F600, 0x202E)):
        said = latex(f"a{sign}b")
        bare = re.sub(r"\\[a-zA-Z]+(\{[^{}]*\})?|\\.|\$[^$]*\$|\{[\[\]]\}", "", said)
        assert not set(bare) & set("\\{}$&#%_^~"), sign
    assert latex("αςωΔΩ") == r"$\alpha$$\varsigma$$\omega$$\Delta$$\Omega$"


def test_long_and_wide_tables() -> None:
    header = ["", "x"]
    long = tabular(Table(header, [[Cell(str(i)), Cell("1")] for i in range(LONG + 1)]))
    assert long.startswith(r"\begin{longtable}")
    wide = tabular(Table(["", *"abcdefghij"], [[Cell("row"), *[Cell("0.123 ± 0.01")] * 10]]))
    assert wide.count(r"\begin{tabular}") == 2  # 116 characters fit
    assert wide.count("row &") == 2
    assert [wide.count(f" {name} ") for name in "abcdefghij"] == [1] * 10
    assert tabular(Table(header, [])).startswith(r"\begin{tabular}")


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [3, LONG + 1])
def test_long_names_fit_the_page(n_rows: int, tmp_path: Path) -> None:
    task = class_of("tasks", "TaskOfAVeryLongName" * 5)
    for i in range(n_rows):
        row = class_of("positional", "VeryLongNameOfAnEncoding" * 4 + f"{i}中中中中中中_ab/c")
        for seed in (0, 1, 2):
            made = config(row, task, seed, lengths=(20, 40))
            accuracy = 0.3 + 0.01 * i + 0.002 * seed
            write(tmp_path / f"{i}-{seed}", made, {20: accuracy}, diagnostics=False)
    assert main(["report", str(tmp_path), "--latex"]) == 0
    check(tmp_path / "report.tex", wide=False)


def test_a_comparison_names_its_rows_again() -> None:
    cells = [Cell("Copy"), Cell("RoPE against NoPE"), *[Cell("0.123 ± 0.01 or so, or so")] * 5]
    made = tabular(Table([*"abcdefg"], [cells], names=2))
    assert made.count(r"\begin{tabular}{ll") == 2
    assert made.count("Copy & RoPE against NoPE &") == 2


def test_a_long_word_may_be_broken_where_it_is_read() -> None:
    broken = r"\allowbreak{}".join(["data.", "some\\_", "Long", "Path/", "a" * 16, "aa"])
    assert _text(f"data.some_LongPath/{'a' * 18} is short_er") == broken + r" is short\_er"


@pytest.mark.parametrize("form", ["pdf", "png"])
def test_signs_that_a_font_lacks_are_no_warnings(form: str) -> None:
    figure = Figure((1, 1))
    figure.text(0.1, 0.5, "中")
    assert saved(figure, format=form)


@pytest.mark.slow
def test_pdf_figures_without_latex_are_the_same_each_time(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s")
    arguments = ["report", str(study), "--filter=data.task=Copy", "--figures", "pdf"]
    assert main([*arguments, f"--out={tmp_path / 'a'}"]) == 0
    assert main([*arguments, f"--out={tmp_path / 'b'}"]) == 0
    made = sorted((tmp_path / "a" / "figures").glob("*.pdf"))
    assert len(made) == 6
    for path in made:
        assert path.read_bytes() == (tmp_path / "b" / "figures" / path.name).read_bytes()
    assert not (tmp_path / "a" / "report.tex").exists()


@pytest.mark.slow
def test_methods_say_what_was_done(study_directory: Path, tmp_path: Path) -> None:
    assert main(["report", str(study_directory), f"--out={tmp_path}"]) == 0
    text = (tmp_path / "report.md").read_text("utf-8")
    paragraph = text.partition("## Methods\n\n")[2].partition("\n")[0]
    for said in (
        "We trained TokenClassifier (layers 4, width 64, heads 2; 200,004 to 200,005 parameters) "
        "as 3 variants: NoPE, ALiBi and RoPE; 18 runs in all, 3 seeds (0, 1 and 2).",
        "The data were Copy and Reverse, trained at length 1 to 20, tested at 10, 20, 30, 40.",
        "Each run took 3,000 optimizer steps with AdamW (lr 0.003), 6,000,000 tokens a run",
        "0.18 hours of training in all",
        "the same for all variants; none was tuned here",
        "Holm's correction over 6 tests",
        "Effect sizes are d_z",
        "cpu, 1 threads",
        "torch 2.13.0",
        "2 runs that did not finish are left out.",
    ):
        assert said in paragraph, said
