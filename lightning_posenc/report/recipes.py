"""How every row was made: commands, and what its config has that others have not."""

import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from lightning_posenc.pages import run_page
from lightning_posenc.report.keys import text
from lightning_posenc.report.runs import Run
from lightning_posenc.report.selection import differing
from lightning_posenc.report.study import Study

PROGRAM = "python -m lightning_posenc"


class Made(NamedTuple):
    """A run of a row.

    Args:
        name: Of the run.
        about: Its column and seed.
        command: What makes it again.
        differs: What its config has that the first run of its row and column has not, besides
            the seed.
        link: Its own page, from where the report lies; "" if it has none.
    """

    name: str
    about: str
    command: str
    differs: str
    link: str = ""


class Recipe(NamedTuple):
    """A row.

    Args:
        row: Its name.
        differs: Values by key in which rows differ, as this one has them.
        runs: Its runs.
        config: The whole config of the first of them, as YAML.
    """

    row: str
    differs: dict[str, str]
    runs: list[Made]
    config: str


def recipes(study: Study, out: Path) -> list[Recipe]:
    """One for each row.

    Args:
        study: The runs; a page of their own is written for those that have none.
        out: Where the report goes.
    """
    import yaml

    # Rows are compared where all else is equal: within a column.
    varying = sorted(
        {
            key
            for column in study.columns
            for key in differing(
                [run for run in study.runs if study.column_of[run.name] == column], seeds=False
            )
        }
    )
    made = []
    for row in study.rows:
        runs = study.at(row)
        first = runs[0]
        dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        made.append(
            Recipe(
                row,
                {key: _values(runs, key) for key in varying if any(key in r.keys for r in runs)},
                [
                    Made(
                        run.name,
                        f"{study.column_of[run.name]}, seed {study.seed_of[run.name]}",
                        command(run),
                        _difference(study.at(row, study.column_of[run.name])[0], run),
                        _link(run, out),
                    )
                    for run in runs
                ],
                yaml.dump(first.config, Dumper=dumper, sort_keys=False),
            )
        )
    return made


def _link(run: Run, out: Path) -> str:
    path = run.path / run_page.NAME
    if not path.is_file() and run_page.write_run_page(run.path) is None:
        return ""
    return quote(os.path.relpath(path, out))


def command(run: Run) -> str:
    """The command that makes a run again.

    Without `--run_dir`, which holds the run already, so that the line can be pasted.
    """
    given = run.summary.get("command") or run.trial.get("command")
    if not given:
        return "unknown: the run did not keep it"
    if isinstance(given, str):
        return given
    resumed = run.summary.get("resumed")
    resumed = resumed if isinstance(resumed, list) else []
    later = [_line(each) for each in resumed if isinstance(each, list)]
    return "  # then on from its checkpoint: ".join([_line(given), *later])


def _line(given: list[Any]) -> str:
    words = []
    skip = False
    for word in map(str, given):
        if skip or word == "--run_dir":
            skip = not skip
        elif not word.startswith("--run_dir="):
            words.append(word)
    line = shlex.join(words)
    own = words and words[0] in ("fit", "validate", "test", "predict")
    return f"{PROGRAM} {line}" if own else line


def _values(runs: list[Run], key: str) -> str:
    found = dict.fromkeys(text(run.keys[key]) for run in runs if key in run.keys)
    return ", ".join(found)


def _difference(first: Run, run: Run) -> str:
    keys = differing([first, run])
    return ", ".join(f"{key}={text(run.keys[key])}" if key in run.keys else f"no {key}"
                     for key in keys)  # fmt: skip
