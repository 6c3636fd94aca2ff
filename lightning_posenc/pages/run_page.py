"""`run.html`: a run's own page, of what lies in its directory."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lightning_posenc.diagnostics.metric_keys import Key, is_loss, of_name, parse
from lightning_posenc.diagnostics.quantities import MEASUREMENTS
from lightning_posenc.mistakes.escaping import visible
from lightning_posenc.pages import explorer
from lightning_posenc.pages.curves import Points, chart, number
from lightning_posenc.pages.history import RunHistory
from lightning_posenc.pages.templates import HERE, environment, style
from lightning_posenc.pages.watched import Remark, remarks
from lightning_posenc.runs import untrusted
from lightning_posenc.runs.png import data_uri
from lightning_posenc.runs.run_directory import CONFIG, DIAGNOSIS, FIGURES, METRICS, SUMMARY
from lightning_posenc.runs.whole_files import write_whole

NAME = "run.html"
EXPLORER = explorer.NAME
MOST_BYTES = 6_000_000  # of pictures within the page; others are linked
TITLES = {
    "accuracy": "Test accuracy, by length and by position",
    "attention": "Attention of one test sequence, layers from above, heads from the left",
    "length_generalization": "Score by test length, and accuracy by position",
    "order_sensitivity": "Change of the outputs when the order of tokens changes",
    "occlusion": "What the prediction rests on: score when a part is hidden",
    "attention_entropy": "Entropy of attention, of every layer and head",
} | {each.name: each.title[:1].upper() + each.title[1:] for each in MEASUREMENTS}


class Shown(NamedTuple):
    """A picture of the run: its place, what it shows, and the size that it is said to have."""

    uri: str
    title: str


class Doctor(NamedTuple):
    """What `diagnose` wrote."""

    verdict: str
    line: str
    cause: str
    link: str


def write_run_page(directory: Path) -> Path | None:
    """Write `run.html` of a run that has a summary.

    Args:
        directory: The run directory.

    Returns:
        The page; None if the directory holds no summary that can be read, or cannot be written.
    """
    with suppress(OSError, ValueError):
        summary = _mapping(directory / SUMMARY)
        if summary:
            path = directory / NAME
            write_whole(path, run_page(directory, summary))
            return path
    return None


def run_page(directory: Path, summary: Mapping[str, Any]) -> str:
    """Make the page: verdict, scores, curves, pictures, config; one file, but for large pictures.

    Args:
        directory: The run directory.
        summary: As `summary.json` has it.
    """
    history = RunHistory(directory / METRICS)
    metrics = _numbers(summary.get("metrics"))
    config, about = "", ""
    with suppress(OSError, ValueError):
        config = visible(untrusted.read_text(directory / CONFIG))
        about = _about(untrusted.load_yaml(config, CONFIG))
    where = directory.absolute()
    return str(
        environment(HERE)
        .get_template("run_page.html.j2")
        .render(
            name=f"{where.parent.name}/{where.name}",
            about=about,
            status=str(summary.get("status")),
            error=str(summary.get("error") or ""),
            facts=_facts(summary),
            doctor=_doctor(directory),
            explorer=EXPLORER if (directory / EXPLORER).is_file() else "",
            remarks=_worth_saying(metrics, history),
            scores=_scores(metrics, summary),
            charts=_charts(history.curves),
            pictures=_pictures(directory / FIGURES),
            config=config,
            style=style(),
        )
    )


def _about(config: Any) -> str:
    """Model, encoding and data, by the names of their classes."""

    def name(*path: str) -> str:
        found = config
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        found = found.get("class_path") if isinstance(found, dict) else found
        return str(found).rpartition(".")[2] if found else ""

    encoding = name("model", "init_args", "positional")
    task = name("data", "init_args", "task") or name("data")
    parts = (name("model"), f"with {encoding}" if encoding else "", f"on {task}" if task else "")
    return visible(" ".join(part for part in parts if part))


def _mapping(path: Path) -> dict[str, Any]:
    found = visible(untrusted.read_json(path))
    return found if isinstance(found, dict) else {}


def _numbers(found: Any) -> dict[str, float]:
    items = found.items() if isinstance(found, dict) else ()
    return {
        str(key): float(value)
        for key, value in items
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _worth_saying(metrics: Mapping[str, float], history: RunHistory) -> list[Remark]:
    watched = {key: points.y[-1] for key, points in history.curves.items() if points.y}
    return remarks({**watched, **metrics}, history.last)


def _doctor(directory: Path) -> Doctor | None:
    link = f"{DIAGNOSIS}.html"
    if not (directory / link).is_file():
        return None
    said: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        said = _mapping(directory / f"{DIAGNOSIS}.json")
    verdict, line, cause = (str(said.get(key) or "") for key in ("verdict", "line", "cause"))
    return Doctor(verdict, line, cause, link)


def _facts(summary: Mapping[str, Any]) -> dict[str, str]:
    command = summary.get("command")
    versions = summary.get("versions")
    versions = versions if isinstance(versions, dict) else {}
    found: dict[str, Any] = {
        "command": " ".join(map(str, command)) if isinstance(command, list) else command,
        "seed": summary.get("seed"),
        "steps": summary.get("steps"),
        "parameters": summary.get("parameters"),
        "of them positional": summary.get("positional_parameters"),
        "tokens trained on": summary.get("train_tokens"),
        "floating-point operations": summary.get("train_flops"),
        "seconds, all in all": summary.get("seconds"),
        "seconds a step": summary.get("seconds_per_step"),
        "peak memory, MiB": summary.get("peak_memory_mb"),
        "device": summary.get("device"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "commit": summary.get("git"),
    }
    return {key: _said(value) for key, value in found.items() if value not in (None, "")}


def _said(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else number(value)


def _scores(metrics: Mapping[str, float], summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """Test metrics: lines by length, columns by name; their standard errors where known."""
    errors = _numbers(summary.get("standard_errors"))
    lengths = sorted({of.length for key in metrics if isinstance((of := parse(key)).length, int)
                      and of.stage == "test"})  # fmt: skip
    names = sorted({parse(key).name for key in metrics if isinstance(parse(key).length, int)},
                   key=lambda name: (name not in ("acc", "exact", "loss"), name))  # fmt: skip
    lines = []
    for length in lengths:
        line = {"length": f"{length:,}"}
        for name in names:
            key = str(Key(name, "test", length))
            if key in metrics:
                row = of_name(name)
                error = f" ± {1.96 * errors[key]:.3f}" if key in errors else ""
                line[row.title if row else name] = f"{metrics[key]:.4f}{error}"
        lines.append(line)
    return lines


def _charts(curves: Mapping[str, Points]) -> list[str]:
    """Losses together, scores together, the rate; then whatever else was logged over time."""
    curves = {key: points for key, points in curves.items() if parse(key).stage != "test"}
    losses = {key: points for key, points in curves.items() if is_loss(key)}
    shares = {}
    for key, points in curves.items():
        row = of_name(parse(key).name)
        if row and row.is_share and row.higher and not row.baseline and parse(key).stage == "val":
            shares[key] = points
    rate = {key: points for key, points in curves.items() if parse(key).name == "lr"}
    drawn = [
        chart("Loss", "optimizer step", losses),
        chart("Scores", "optimizer step", shares),
        chart("Learning rate", "optimizer step", rate),
    ]
    done = {*losses, *shares, *rate}
    for key, points in sorted(curves.items()):
        of = parse(key)
        row = of_name(of.name)
        if key in done or len(points.x) < 2 or (row and row.baseline):
            continue
        drawn.append(chart(key, "optimizer step", {key: points}))
    return [each for each in drawn if each]


def _pictures(figures: Path) -> list[Shown]:
    shown = []
    room = MOST_BYTES
    for path in sorted(figures.glob("*.png")):
        size = path.stat().st_size
        uri = f"{FIGURES}/{path.name}"
        if size <= room:
            room -= size
            uri = data_uri(path.read_bytes())
        title = TITLES.get(path.stem, path.stem.replace("_", " ").capitalize())
        shown.append(Shown(uri, title))
    return shown
