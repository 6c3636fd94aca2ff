"""A methods paragraph, of what was really done: only what configs and summaries say."""

from collections.abc import Callable, Iterable
from typing import Any

from lightning_posenc.report.effects import REFERENCES
from lightning_posenc.report.keys import text
from lightning_posenc.report.metrics import trained_lengths
from lightning_posenc.report.page import many
from lightning_posenc.report.results import Results
from lightning_posenc.report.runs import Run
from lightning_posenc.report.selection import differing
from lightning_posenc.report.study import Study

MOST = 6  # values that are named one by one
_OPTIONS = ("lr", "weight_decay", "betas", "momentum", "eps")


def methods(study: Study, results: Results) -> str:
    """Write the paragraph.

    Args:
        study: The runs.
        results: Their comparisons.

    Returns:
        Sentences; what runs do not agree on is given as what it ranges over, and what no run says
        is left out.
    """
    parts = [_models(study), _data(study), _training(study), _tuning(study),
             _statistics(study, results), _machine(study), _left_out(study)]  # fmt: skip
    return " ".join(part for part in parts if part)


def _models(study: Study) -> str:
    runs = study.runs
    sizes = {
        what: said
        for what, key in (
            ("layers", "n_layers"), ("width", "d_model"), ("heads", "n_heads"),
        )
        if (said := _values(runs, f"model.encoder.{key}"))
    }  # fmt: skip
    of = ", ".join(f"{what} {said}" for what, said in sizes.items())
    count = _range(runs, lambda run: run.summary.get("parameters"))
    of += f"{'; ' if of else ''}{count} parameters" if count else ""
    model = _values(runs, "model") or "a model"
    rows = _listed(study.rows)
    seeds = sorted({*study.seed_of.values()}, key=lambda s: (len(s), s))
    trained = len(_trained(study))
    chosen = f" of {trained} that were trained" if trained > len(runs) else " in all"
    return (
        f"We trained {model}{f' ({of})' if of else ''} as {many(len(study.rows), 'variant')}: "
        f"{rows}; {many(len(runs), 'run')}{chosen}, {many(len(seeds), 'seed')} "
        f"({_listed(seeds)})."
    )


def _data(study: Study) -> str:
    said = [f"The data were {_listed(study.columns)}"]
    known = sorted({found for run in study.runs if (found := trained_lengths(run)) is not None})
    spans = [f"{low}" if low == high else f"{low} to {high}" for low, high in known]
    if spans:
        said.append(f"trained at {study.length_axis} {_listed(spans)}")
    if tested := _values(study.runs, "data.eval_lengths"):
        said.append(f"tested at {tested.strip('[]')}")
    if samples := _values(study.runs, "data.eval_samples"):
        said.append(f"with {samples} samples for each test")
    return ", ".join(said) + "."


def _training(study: Study) -> str:
    runs = study.runs
    steps = _range(runs, lambda run: run.summary.get("steps"))
    said = [f"Each run took {steps} optimizer steps" if steps else "Each run was trained"]
    if batch := _values(runs, "data.batch_size"):
        said.append(f"of batches of {batch}")
    optimizer = _values(runs, "model.optimizer") or "AdamW"
    if optimizer in ("null", "None"):
        optimizer = "AdamW"  # what None stands for
    options = [
        f"{name} {value}"
        for name in _OPTIONS
        if (value := _values(runs, f"model.optimizer.{name}")) and value != "null"
    ]
    said.append(f"with {optimizer}{' (' + ', '.join(options) + ')' if options else ''}")
    line = " ".join(said)
    if schedule := _values(runs, "model.schedule"):
        line += ", at a constant rate" if schedule == "null" else f", schedule {_class(schedule)}"
    clip = _values(runs, "trainer.gradient_clip_val")
    line += f", gradients clipped at {clip}" if clip and clip != "null" else ""
    precision = _values(runs, "trainer.precision")
    if precision:
        line += f", precision {'32-true' if precision == 'null' else precision}"
    tokens = _range(runs, lambda run: run.summary.get("train_tokens"))
    line += f", {tokens} tokens a run, padding included" if tokens else ""
    return line + "."


def _tuning(study: Study) -> str:
    if study.tuned:
        return study.tuned
    varying = [
        key
        for key in differing(study.runs, seeds=False)
        if key.startswith("model.optimizer.") or key == "model.schedule"
    ]
    if varying:
        return f"Variants differ in {_listed(varying)} too."
    return "Optimizer and rate are the same for all variants; none was tuned here."


def _statistics(study: Study, results: Results) -> str:
    better = "higher" if study.metric.higher else "lower"
    said = [f"We report {study.metric.title} ({better} is better)"]
    most = max((cell.n for cell in results.cells.values()), default=0)
    if not most:
        return f"{said[0]}, of which no run has a finite number."
    if most < 2:
        return f"{said[0]} of one seed, without a test."
    said[0] += ", the mean over seeds with the 95 % interval of Student's t distribution."
    tested = sum(each.p is not None for each in results.comparisons)
    if tested:
        said.append(
            f"Differences by seed from {study.baseline}, and of the best from the second best, "
            "were tested two-sided by the paired t test and by a t test against the scatter of all "
            "rows, of which the larger p counts, with Holm's correction over "
            f"{many(tested, 'test')}; p < 0.05 is called significant."
        )
    else:
        said.append("Nothing was tested.")
    if any(each.found.effect for each in results.comparisons):
        said.append(f"Effect sizes are d_z with 95 % intervals ({REFERENCES}).")
    return " ".join(said)


def _machine(study: Study) -> str:
    said = []
    devices = sorted({str(d) for run in study.runs if (d := run.summary.get("device"))})
    if devices:
        said.append(f"Runs were made on {_listed(devices)}")
    seconds = [float(s) for run in _trained(study) if (s := run.summary.get("train_seconds"))]
    if seconds:
        said.append(f"{sum(seconds) / 3600:.2g} hours of training in all")
    versions: dict[str, set[str]] = {}
    for run in study.runs:
        for name, version in (run.summary.get("versions") or {}).items():
            versions.setdefault(str(name), set()).add(str(version))
    if versions:
        names = ", ".join(f"{name} {' or '.join(sorted(v))}" for name, v in versions.items())
        said.append(f"with {names}")
    commits = sorted({str(c)[:12] for run in study.runs if (c := run.summary.get("git"))})
    if commits:
        said.append(f"commit {_listed(commits)}")
    return f"{', '.join(said)}." if said else ""


def _trained(study: Study) -> list[Run]:
    """What was trained, those included that others were chosen over, which cost as much."""
    return [run for run in study.finished if run.trained]


def _class(said: str) -> str:
    """What is given by its dotted path alone, by its name."""
    return said.rpartition(".")[2] if said.replace(".", "").isidentifier() else said


def _left_out(study: Study) -> str:
    n = len(study.left_out)
    return (
        f"{many(n, 'run')} that did not finish {'is' if n == 1 else 'are'} left out." if n else ""
    )


def _values(runs: Iterable[Run], key: str) -> str:
    """What runs have at a key, as a list of words; "" if none has it."""
    return _listed(list(dict.fromkeys(text(run.keys[key]) for run in runs if key in run.keys)))


def _range(runs: Iterable[Run], of: Callable[[Run], Any]) -> str:
    found = [float(value) for run in runs if (value := of(run)) is not None]
    if not found:
        return ""
    low, high = min(found), max(found)
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def _listed(words: list[str]) -> str:
    if len(words) > MOST:
        return f"{', '.join(words[:MOST])} and {len(words) - MOST} more"
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
