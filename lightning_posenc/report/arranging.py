"""Arrange the runs that count: rows, columns, seeds, and what is to be noticed about them."""

import math
from collections.abc import Sequence

from lightning_posenc.report import baselines, fairness, grouping, selection
from lightning_posenc.report.fairness import Tuned
from lightning_posenc.report.grouping import Alternatives, natural
from lightning_posenc.report.keys import near
from lightning_posenc.report.metrics import Criterion
from lightning_posenc.report.runs import FINISHED, Run
from lightning_posenc.report.study import Study


def arrange(
    runs: Sequence[Run],
    left_out: Sequence[Run],
    by: Sequence[Alternatives],
    columns: Sequence[Alternatives],
    metric: Criterion,
    baseline: str | None,
    seed: str,
    select: Criterion | None,
    best_of: str | None = None,
) -> Study:
    """Sort finished runs into rows and columns.

    Args:
        runs: Finished ones, in the order of their names.
        left_out: The others.
        by: Keys that tell rows apart.
        columns: Keys that tell columns apart.
        metric: What is compared.
        baseline: Name of a row; None for NoPE if it is there, else the first.
        seed: Key of the seed.
        select: What decides between runs of one row, column and seed; see `one_a_place`.
        best_of: Key of which each row and column counts at its best value, by `select`, which then
            decides nothing else.

    Raises:
        ValueError: If there is no such baseline, or several runs are of one place but differ.
    """
    assert all(run.status == FINISHED for run in runs)
    keys = [run.keys for run in runs]
    placed = [
        ((row, column, run.keys.get(seed)), run)
        for row, column, run in zip(
            grouping.label(keys, by), grouping.label(keys, columns), runs, strict=True
        )
    ]
    tuned = Tuned(placed, "", [])
    if best_of is not None:
        assert select is not None
        tuned = fairness.best_of(placed, best_of, select)
    kept, notices = selection.one_a_place(tuned.placed, None if best_of else select)
    notices = [*tuned.notices, *notices]
    kept.sort(key=lambda pair: (*map(natural, pair[0][:2]), natural(str(pair[0][2]))))
    rows = sorted({place[0] for place, _ in kept}, key=natural)
    first = _baseline(rows, baseline)
    study = Study(
        runs=[run for _, run in kept],
        rows=[first, *(row for row in rows if row != first)],
        columns=sorted({place[1] for place, _ in kept}, key=natural),
        row_of={run.name: place[0] for place, run in kept},
        column_of={run.name: place[1] for place, run in kept},
        seed_of={run.name: str(place[2]) for place, run in kept},
        metric=metric,
        left_out=list(left_out),
        notices=notices,
        tuned=tuned.said,
        finished=runs,
    )
    incomparable = baselines.different_vocabularies(study)
    notices += [incomparable] if incomparable else []
    notices += [*_mixed(study), *_silent(study), *baselines.unbalanced(study)]
    notices += _origins(study.runs)
    return study


def _baseline(rows: list[str], wanted: str | None) -> str:
    if wanted is None:
        return next((row for row in rows if row.split(" ")[0] == "NoPE"), rows[0])
    if wanted not in rows:
        raise ValueError(f"--baseline {wanted}: no row has that name: {near(wanted, rows)}")
    return wanted


def _mixed(study: Study) -> list[str]:
    """Cells whose runs differ in more than their seed."""
    said = []
    for row in study.rows:
        for column in study.columns:
            group = study.at(row, column)
            if len(group) > 1 and (keys := selection.differing(group, seeds=False)):
                said.append(
                    f"{row} on {column}: these runs differ in more than their seed: "
                    f"{', '.join(keys[:4])}{', …' if len(keys) > 4 else ''}"
                )
    return said


def _silent(study: Study) -> list[str]:
    """Finished runs without the number, or with none that can be averaged."""
    found = {run.name: study.metric.of(run) for run in study.runs}
    missing = [name for name, value in found.items() if value is None]
    broken = [n for n, value in found.items() if value and not math.isfinite(value.value)]
    said = []
    if missing:
        said.append(f"no {study.metric.key} in {_listed(missing)}: not in its table")
    if broken:
        said.append(f"{study.metric.key} is no finite number in {_listed(broken)}: not averaged")
    return said


def _origins(runs: Sequence[Run]) -> list[str]:
    """Differences of machine and software, which time and results may depend on."""
    said = []
    versions = {str(run.summary.get("versions", {}).get("torch")) for run in runs}
    devices = {str(run.summary["device"]) for run in runs if run.summary.get("device")}
    commits = {str(run.summary.get("git")) for run in runs}
    for what, found in (
        ("versions of torch", versions),
        ("devices", devices),
        ("commits", commits),
    ):
        if len(found) > 1:
            said.append(f"the runs come from different {what}: {_listed(sorted(found))}")
    return said


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
