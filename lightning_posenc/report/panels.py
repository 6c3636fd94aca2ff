"""What is drawn: a panel for each task (and diagnostic), a curve with a band for each row."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from lightning_posenc.diagnostics.metric_keys import Key, of_name, parse
from lightning_posenc.diagnostics.quantities import Quantity
from lightning_posenc.report.baselines import mean_bounds
from lightning_posenc.report.metrics import BASELINES, by_length, trained_lengths
from lightning_posenc.report.runs import Run
from lightning_posenc.report.study import Study

if TYPE_CHECKING:
    import pandas as pd


class Band(NamedTuple):
    """A row's curve: mean over seeds, and the lowest and the highest seed, at each x."""

    x: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]
    seeds: int


class Panel(NamedTuple):
    """A picture.

    Args:
        name: File stem.
        title: Above it.
        x: What is counted to the right.
        y: What is measured.
        bands: By row; at least one.
        trained: Lengths to shade, if x is a length.
        unit: Whether the numbers lie in [0, 1].
        log: Whether they are shown on a logarithmic scale.
        bounds: What is reached without order, or without looking, by name and x.
    """

    name: str
    title: str
    x: str
    y: str
    bands: dict[str, Band]
    trained: tuple[int, int] | None = None
    unit: bool = False
    log: bool = False
    bounds: Mapping[str, Mapping[int, float]] = {}


def every(study: Study) -> list[Panel]:
    """All that a report draws."""
    score, key = study.score, learning_key(study)
    found = by_test_length(study, score.name) if score is not None and score.name else []
    found += learning(study, key) if key is not None else []
    return found + [panel for shown in by_depth(study).values() for panel in shown]


def by_test_length(study: Study, name: str) -> list[Panel]:
    """A test metric against length, a panel for each column."""
    panels = []
    for column, bands in _of_columns(study, lambda run: by_length(run, name)):
        if max(len(band.x) for band in bands.values()) > 1:
            lengths = _trained(study, column)
            row = of_name(name)
            panels.append(
                Panel(
                    f"lengths_{slug(column, study.columns)}",
                    column,
                    f"test {study.length_axis}",
                    f"test {name}",
                    bands,
                    lengths,
                    row is not None and row.is_share,
                    bounds=_bounds(study, column) if name == "acc" else {},
                )
            )
    return panels


def _bounds(study: Study, column: str) -> dict[str, dict[int, float]]:
    runs = [run for row in study.rows for run in study.at(row, column)]
    found = {title: mean_bounds(runs, name) for name, title in BASELINES.items()}
    return {title: values for title, values in found.items() if values}


def learning(study: Study, key: str) -> list[Panel]:
    """A validation metric against steps, a panel for each column.

    Between the steps of a run its curve is taken to be straight, so that means can be taken where
    runs were validated at different steps; none goes beyond the shortest run.
    """
    found = _of_columns(study, lambda run: _curve(run, key), straight=True)
    row = of_name(parse(key).name)
    return [
        Panel(
            f"learning_{slug(column, study.columns)}",
            column,
            "optimizer step",
            key,
            bands,
            unit=row is not None and row.is_share,
        )
        for column, bands in found
    ]


def learning_key(study: Study) -> str | None:
    """The validation metric that belongs to the one that is compared, else val/loss."""
    for key in (str(Key(parse(study.metric.key).name, "val")), "val/loss"):
        if any(key in run.history for run in study.runs):
            return key
    return None


def by_depth(study: Study) -> dict[str, list[Panel]]:
    """Every diagnostic that was logged by layer, its last value: panels by column."""
    measured = {run.name: last_by_layer(run) for run in study.runs}
    diagnostics = sorted({each for found in measured.values() for each in found})
    panels: dict[str, list[Panel]] = {}
    for diagnostic in diagnostics:
        name = parse(diagnostic).name
        quantity = of_name(name) or Quantity(name, diagnostic)
        title, meaning = _capital(quantity.label), quantity.meaning or diagnostic

        def of(run: Run, diagnostic: str = diagnostic) -> Mapping[int, float]:
            return measured[run.name].get(diagnostic, {})

        for column, bands in _of_columns(study, of):
            stem = f"depth_{slug(column, study.columns)}_{slug(diagnostic, diagnostics)}"
            where = f" · {column}" if len(study.columns) > 1 else ""
            panel = Panel(stem, title + where, quantity.depth, meaning, bands, log=quantity.log)
            panels.setdefault(column, []).append(panel)
    return {column: panels[column] for column in study.columns if column in panels}


def last_by_layer(run: Run) -> dict[str, dict[int, float]]:
    """The last value that a run logged of each diagnostic, by layer; means over heads or planes."""
    keys = {column: of for column in run.history if (of := parse(column)).layer is not None}
    found: dict[str, dict[int, list[float]]] = {}
    for key, value in run.history[list(keys)].ffill().tail(1).squeeze(axis=0).items():
        of = keys[str(key)]
        if value == value and of.layer is not None:
            found.setdefault(of.quantity, {}).setdefault(of.layer, []).append(float(value))
    return {
        name: {layer: sum(values) / len(values) for layer, values in sorted(layers.items())}
        for name, layers in found.items()
    }


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]


def slug(name: str, among: list[str]) -> str:
    """A name for a file, its own among others'."""
    plain = [re.sub(r"[^a-z0-9]+", "_", each.lower()).strip("_") or "_" for each in among]
    i = among.index(name)
    return plain[i] if plain.count(plain[i]) == 1 else f"{plain[i]}_{i}"


def _of_columns(
    study: Study, values: Callable[[Run], Mapping[int, float]], straight: bool = False
) -> Iterator[tuple[str, dict[str, Band]]]:
    """Columns in which there is something to draw, and the bands of their rows."""
    import pandas as pd

    for column in study.columns:
        bands = {}
        for row in study.rows:
            curves = {run.name: pd.Series(values(run)) for run in study.at(row, column)}
            curves = {name: curve for name, curve in curves.items() if len(curve)}
            if curves:
                band = _band(pd.DataFrame(curves).sort_index(), straight)
                if band.x:
                    bands[row] = band
        if bands:
            yield column, bands


def _band(curves: "pd.DataFrame", straight: bool) -> Band:
    if straight:
        curves = curves.interpolate(method="index", limit_area="inside").dropna()
    curves = curves.dropna(how="all")
    return Band(
        [float(x) for x in curves.index],
        curves.mean(axis=1).tolist(),
        curves.min(axis=1).tolist(),
        curves.max(axis=1).tolist(),
        curves.shape[1],
    )


def _curve(run: Run, key: str) -> dict[int, float]:
    if key not in run.history:
        return {}
    known = run.history[["step", key]].dropna()
    # A resumed run may have repeated a validation: the last one counts.
    return dict(zip(known["step"].astype(int), known[key].astype(float), strict=True))


def _trained(study: Study, column: str) -> tuple[int, int] | None:
    """What all runs of a column were trained on, if it is the same."""
    found = {trained_lengths(run) for row in study.rows for run in study.at(row, column)}
    return found.pop() if len(found) == 1 else None
