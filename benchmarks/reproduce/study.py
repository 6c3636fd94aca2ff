"""A published comparison, redone: what is trained, with how many seeds, beside what was published.

Every run is a `fit` in a process of its own worker. What is measured is kept run by run, so that a
study can be stopped, and goes on where it was.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.progress import track

from lightning_posenc.runs.whole_files import whole_file

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "reproduce"

Metrics = dict[str, float]


class Study(NamedTuple):
    """One table.

    Args:
        title: what is learned.
        fit: arguments of `fit` that all rows share.
        rows: arguments of each row, by its name.
        columns: the numbers of a row by column, out of the metrics in a run's summary.
        published: the published numbers by row and column, where there are some.
        decimals: of the numbers.
        seeds: how many seeds each row has.
        same_runs_as: the study whose runs this one reads, without any of its own.
    """

    title: str
    fit: list[str]
    rows: dict[str, list[str]]
    columns: Callable[[Metrics], Metrics]
    published: dict[str, dict[str, str]]
    decimals: int = 3
    seeds: int = 3
    same_runs_as: str | None = None


class Run(NamedTuple):
    """One fit."""

    study: str
    row: str
    seed: int
    arguments: list[str]

    @property
    def key(self) -> str:
        return f"{self.study}|{self.row}|{self.seed}"


def encodings(*names: str) -> dict[str, list[str]]:
    """A row for each encoding."""
    return {name: [f"--model.positional={name}"] for name in names}


def by_length(metric: str) -> Callable[[Metrics], Metrics]:
    """Columns by test length, of the metrics `test/<metric>/len_<length>`."""
    prefix = f"test/{metric}/len_"

    def columns(metrics: Metrics) -> Metrics:
        found = {k.removeprefix(prefix): v for k, v in metrics.items() if k.startswith(prefix)}
        return {length: found[length] for length in sorted(found, key=int)}

    return columns


def main(name: str, about: str, studies: dict[str, Study]) -> None:
    """Train what is not yet kept, then write the tables.

    Args:
        name: file stem of the results.
        about: what was published, and what differs here, in Markdown.
        studies: the tables by short name.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--only", nargs="*", default=list(studies), choices=list(studies))
    parser.add_argument("--rows", nargs="*", help="only these rows")
    parser.add_argument("--seeds", type=int, help="only so many seeds")
    args = parser.parse_args()
    file = RESULTS / f"{name}.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    todo = [
        run
        for run in _runs(studies)
        if run.key not in kept
        and run.study in args.only
        and (args.rows is None or run.row in args.rows)
        and (args.seeds is None or run.seed < args.seeds)
    ]
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(_fit, run): run for run in todo}
        for job in track(as_completed(jobs), "runs", total=len(jobs)):
            kept[jobs[job].key] = job.result()
            with whole_file(file) as unfinished:
                unfinished.write(json.dumps(kept, indent=1, sort_keys=True) + "\n")
            (RESULTS / f"{name}.md").write_text(_page(name, about, studies, kept))
    (RESULTS / f"{name}.md").write_text(_page(name, about, studies, kept))


def _runs(studies: dict[str, Study]) -> list[Run]:
    """All runs: the first seed of every row, then the second, so that no row waits for another."""
    return [
        Run(name, row, seed, ["fit", *study.fit, *more, f"--seed_everything={seed}"])
        for seed in range(max(study.seeds for study in studies.values()))
        for name, study in studies.items()
        for row, more in study.rows.items()
        if seed < study.seeds and study.same_runs_as is None
    ]


def _fit(run: Run) -> dict:
    """Train and test in this process, on one thread."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from lightning_posenc.cli import main as lightning_posenc

    torch.set_num_threads(1)
    os.chdir(ROOT)
    start = time.perf_counter()
    with TemporaryDirectory() as directory:
        quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
        if status := lightning_posenc([*run.arguments, *quiet, f"--run_dir={directory}/run"]):
            raise RuntimeError(f"{run.key}: exit status {status}")
        metrics = json.loads(Path(directory, "run", "summary.json").read_text())["metrics"]
    return {
        "metrics": {k: round(v, 6) for k, v in metrics.items() if not k.startswith("train/")},
        "seconds": round(time.perf_counter() - start, 1),
        "date": str(datetime.date.today()),
        "torch": torch.__version__,
    }


def _page(name: str, about: str, studies: dict[str, Study], kept: dict) -> str:
    dates = sorted({run["date"] for run in kept.values()})
    when = " to ".join(dict.fromkeys(dates[:1] + dates[-1:]))
    total = sum(run["seconds"] for run in kept.values()) / 60
    lines = [
        f"# {about.splitlines()[0]}",
        *about.splitlines()[1:],
        "",
        f"`python benchmarks/reproduce/{name}.py`, {when}, one thread a run on a machine "
        f"({platform.machine()}, {os.cpu_count()} cores) that other work shared; {len(kept)} runs, "
        f"{total:.0f} minutes in all. A cell is the mean over seeds, with "
        "the lowest and the highest; in *italics* what was published.",
    ]
    for short, study in studies.items():
        lines += _table(short, study, kept)
    return "\n".join(lines) + "\n"


def _table(short: str, study: Study, kept: dict) -> Iterator[str]:
    source = study.same_runs_as or short
    found = {
        row: [run["metrics"] for key, run in kept.items() if key.startswith(f"{source}|{row}|")]
        for row in study.rows
    }
    found = {row: [study.columns(metrics) for metrics in runs] for row, runs in found.items()}
    columns = list(
        dict.fromkeys(c for runs in found.values() for each in runs for c in each)
        | dict.fromkeys(c for each in study.published.values() for c in each)
    )
    yield f"\n## {study.title}\n"
    yield f"    python -m lightning_posenc fit {' '.join(map(_shown, study.fit))}\n"
    if not any(found.values()):
        yield "Not run yet."
        return
    yield f"| | more arguments | seeds | {' | '.join(columns)} |"
    yield "|---|---|---" + "|--:" * len(columns) + "|"
    for row, runs in found.items():
        cells = [_cell([each[c] for each in runs if c in each], study.decimals) for c in columns]
        said = study.published.get(row, {})
        cells = [
            f"{cell} *{said[c]}*" if c in said else cell
            for c, cell in zip(columns, cells, strict=True)
        ]
        arguments = " ".join(f"`{argument}`" for argument in study.rows[row])
        yield f"| {row} | {arguments} | {len(runs)} | {' | '.join(cells)} |"


def _shown(argument: str) -> str:
    """An argument without the folder that the reader's own text lies in."""
    name, is_path, value = argument.partition("data.path=")
    return f"{name}{is_path}{Path(value).name}" if is_path else argument


def _cell(values: list[float], decimals: int) -> str:
    if not values:
        return "–"
    mean = f"{statistics.mean(values):.{decimals}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.{decimals}f}–{max(values):.{decimals}f})"
