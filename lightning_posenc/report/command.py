"""The command `report`: from run directories to one page with tables, error bars and plots."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning_posenc.mistakes.arguments import OneLineParser, made_directory

if TYPE_CHECKING:
    from lightning_posenc.report.page import Table
    from lightning_posenc.report.results import Results
    from lightning_posenc.report.study import Study

HELP = """usage: python -m lightning_posenc report RUNS… [OPTIONS]
       python -m lightning_posenc report --diff A B [--out DIR]
       python -m lightning_posenc report --explore CHECKPOINT [--lengths N,N…] [--out DIR]

Compare finished runs: write report.md with figures/, and report.html that needs no other file.
RUNS are run directories, or directories that hold some, such as a sweep's. Runs that are not
finished are listed, and not counted.

--diff A B: two run directories, or two checkpoints, which are measured anew: write diff.md and
diff.html, which name every key of the configs that differs, and show numbers with their intervals,
curves, and attention and probe by depth side by side. Default --out: what holds A.

--explore CHECKPOINT: a checkpoint or a run directory: write explorer.html, one page that needs
nothing else, in which attention and position are explored by length, layer and head. Default
--lengths: those that the data tests, at most four; default --out: the run directory.

what is compared:
  --by KEY          what makes a row, a key of the config: model.encoder.n_layers; several times for
                    several keys; default model.positional and model.positions
  --columns KEY     what makes a column, likewise; default data.task or data.path
  --metric KEY      default the test metric that most runs have, at the longest trained length;
                    test/acc/len_64, val/loss; test/acc/len_trained, …/len_longest and …/len_beyond
                    (the mean over lengths longer than trained) suit tasks of several lengths
  --goal max|min    what is better of --metric; default told from its name
  --baseline ROW    the row that others are compared with; default NoPE, else the first
  --seed KEY        by what runs are paired; default seed, that of the whole run

which runs count:
  --filter KEY=VALUE  only those; several times: of one key alternatives, of several keys all
  --select METRIC     of runs with the same row, column and seed the one with the best METRIC, such
                      as val/loss in a search over learning rates; without it, they must be alike
  --best_of KEY       every row and column at its own best value of KEY, such as
                      model.optimizer.lr, with all its seeds; best by the mean of --select, default
                      the validation's of what is compared, else val/loss. The report says which

what is written:
  --out DIR         default the first of RUNS, or what holds it if that is a run itself; a name that
                    ends in .tex is a LaTeX document, beside which all else is written
  --export LIST     csv,parquet (a line for each run and metric), latex (as --latex)
  --latex           report.tex too, which pdflatex compiles: tables by booktabs, figures as PDF,
                    a methods paragraph of what was done
  --figures pdf     figures as PDF too
"""


class Reported(NamedTuple):
    """What a report leaves.

    Args:
        study: The runs.
        results: Their table.
        files: That were written, `report.md` and `report.html` first.
    """

    study: "Study"
    results: "Results"
    files: list[Path]


def run(args: list[str]) -> None:
    """Write `report.md`, `figures/` and `report.html`, and print the table of results.

    Raises:
        ValueError: What the user can mend.
    """
    if not args or "--help" in args or "-h" in args:
        print(HELP)
        return
    given = _parse(args)
    if given.diff:
        first, second = given.diff
        _diff(first, second, given.out)
        return
    if given.explore:
        _explore(given.explore, given.lengths, given.out)
        return
    made = reported(args)
    _print(made.study, made.results)
    print("\n".join(map(str, made.files)))


def reported(args: list[str]) -> Reported:
    """Write a report; nothing is printed.

    Raises:
        ValueError: What the user can mend.
    """
    given = _parse(args)
    if given.diff or given.explore:
        raise ValueError("report: --diff and --explore are other pages, of the command alone")
    # Late, so that --help and mistakes do not wait for them.
    from lightning_posenc.report import export, grouping, metrics, results, runs, selection, writing
    from lightning_posenc.report.arranging import arrange
    from lightning_posenc.report.keys import clean

    kinds = _kinds(given.export, export.KINDS)
    found = runs.find(given.runs)
    out = given.out or (given.runs[0].parent if runs.is_run(given.runs[0]) else given.runs[0])
    if given.filter:
        found = selection.matching(found, given.filter)
    whole = [each for each in found if each.status == runs.FINISHED]
    others = [each for each in found if each.status != runs.FINISHED]
    if not whole:
        why = f"{others[0].name} is {others[0].status}: {others[0].why}"
        raise ValueError(f"report: none of {len(others)} runs is finished ({why})")
    by = tuple((clean(key),) for key in given.by) or grouping.ROWS
    columns = tuple((clean(key),) for key in given.columns) or grouping.COLUMNS
    for option, keys in (
        ("--by", given.by),
        ("--columns", given.columns),
        ("--seed", [given.seed]),
    ):
        for key in keys:
            selection.check_key(option, clean(key), whole)
    select = given.select and metrics.choose(whole, given.select, None, "--select")
    metric = metrics.choose(whole, given.metric, given.goal)
    if given.best_of:
        selection.check_key("--best_of", clean(given.best_of), whole)
        select = select or metrics.of_validation(whole, metric)
    study = arrange(
        whole, others, by, columns, metric, given.baseline, clean(given.seed), select or None,
        clean(given.best_of) if given.best_of else None,
    )  # fmt: skip
    compared = results.compare(study)
    what = "positional encoding" if not given.by else "setting"
    made_directory("--out", out)
    document = given.document or out / "report.tex"
    forms = writing.Forms(
        document if given.latex or "latex" in kinds else None, bool(given.figures)
    )
    paths = writing.write(study, compared, what, out, forms)
    paths += export.export(kinds, study, out)
    return Reported(study, compared, paths)


def _parse(args: list[str]) -> argparse.Namespace:
    parser = OneLineParser("report", add_help=False)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--diff", nargs=2, type=Path)
    parser.add_argument("--explore", type=Path)
    parser.add_argument("--lengths", type=_whole_numbers)
    for option in ("--by", "--columns", "--filter"):
        parser.add_argument(option, action="append", default=[])
    for option in ("--metric", "--baseline", "--select", "--export", "--best_of"):
        parser.add_argument(option)
    parser.add_argument("--seed", default="seed")
    parser.add_argument("--goal", choices=("max", "min"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--latex", action="store_true")
    parser.add_argument("--figures", choices=("pdf",))
    given = parser.parse_intermixed_args(args)
    given.document = None
    if given.out is not None and given.out.suffix == ".tex" and not given.out.is_dir():
        given.latex, given.document, given.out = True, given.out, given.out.parent
    if given.out is not None and os.path.isfile(given.out):
        raise ValueError(f"--out {given.out} is a file: name a directory")
    if sum(map(bool, (given.runs, given.diff, given.explore))) != 1:
        raise ValueError("report: name RUNS, --diff A B or --explore CHECKPOINT: see --help")
    return given


def _whole_numbers(said: str) -> list[int]:
    if not all(each.strip().isdecimal() and int(each) for each in said.split(",")):
        raise argparse.ArgumentTypeError(f"{said}: not whole numbers, such as 32,64")
    return [int(each) for each in said.split(",")]


def _explore(checkpoint: Path, lengths: list[int] | None, out: Path | None) -> None:
    from lightning_posenc.diagnose.exploring import explore
    from lightning_posenc.diagnose.opening import opened
    from lightning_posenc.pages.explorer import NAME, explorer
    from lightning_posenc.pages.run_page import write_run_page
    from lightning_posenc.runs import run_directory
    from lightning_posenc.runs.whole_files import write_whole

    found = explore(opened(checkpoint, "--explore"), lengths)
    home = checkpoint if checkpoint.is_dir() else run_directory.resume_directory(checkpoint)
    path = made_directory("--out", out or home or Path()) / NAME
    write_whole(path, explorer(found))
    if home is not None and out is None:
        write_run_page(home)
    print(path)


def _diff(first: Path, second: Path, out: Path | None) -> None:
    from lightning_posenc.report.diff.page import DiffPage
    from lightning_posenc.report.diff.sides import sides

    found = DiffPage(sides(first, second))
    paths = found.write(made_directory("--out", out or first.resolve().parent))
    _print_table(found.keys_table(), left=3)
    _print_table(found.numbers_table())
    print("\n".join(map(str, paths)))


def _kinds(given: str | None, known: tuple[str, ...]) -> list[str]:
    kinds = [kind.strip() for kind in (given or "").split(",") if kind.strip()]
    for kind in kinds:
        if kind not in known:
            raise ValueError(f"--export {kind}: choose from {','.join(known)}")
    return kinds


def _print(study: "Study", compared: "Results") -> None:
    from rich.console import Console
    from rich.markup import escape

    from lightning_posenc.report.findings import glance, results_section
    from lightning_posenc.report.page import about

    console = Console()
    console.print(about(study), style="dim", highlight=False)
    shown = results_section(study, compared).table
    assert shown is not None
    _print_table(shown)
    for column, line in glance(study, compared).items():
        console.print(f"[bold]{escape(column)}[/]: {escape(line)}", highlight=False)
    for line in study.notices:
        console.print(f"beware: {escape(line)}", style="yellow", highlight=False)


def _print_table(shown: "Table", left: int = 1) -> None:
    """To the terminal, the first columns of words on the left of their places."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Drawn

    table = Drawn(box=box.SIMPLE_HEAD)
    for i, column in enumerate(shown.header):
        side: Any = "right" if i >= left else "left"
        table.add_column(escape(column), overflow="fold", justify=side)
    for row in shown.rows:
        cells = [escape(f"{cell.text} {cell.mark}".strip()) for cell in row]
        table.add_row(*(f"[bold]{t}[/]" if c.bold else t for t, c in zip(cells, row, strict=True)))
    Console().print(table)
