"""Which way to mix tokens needs which encoding, on four tasks?

    python benchmarks/mixers_study.py [--jobs 1] [--write]

Runs `sweeps/mixers.yaml` and `sweeps/mixers_causal.yaml` into `runs/` (begun again, it goes on),
has `report` make a page of them there, and prints a table a task: means over three seeds with their
intervals of 95 %. With --write it writes results/mixers_study.{md,json,png}.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import timing
from matplotlib.figure import Figure

from lightning_posenc import model, positional
from lightning_posenc.catalogue import described_mixers
from lightning_posenc.cli import main as lightning_posenc
from lightning_posenc.positional.base import HOOKS
from lightning_posenc.report import runs
from lightning_posenc.report.statistics import Estimate, estimate

ROOT = Path(__file__).parents[1]
OUT = timing.RESULTS / "mixers_study.json"
SWEEPS = ("mixers", "mixers_causal")
REPORT = [f"--by=model.{key}" for key in ("encoder.mixer", "encoder.mask", "positional")]
ENCODINGS = ("NoPE", "Sinusoidal", "RoPE")
MARKERS = dict(zip(ENCODINGS, "osD", strict=True))


class Task(NamedTuple):
    """What is learned.

    Args:
        title: Above its table.
        metric: Key in the summary, of the trained length.
        goal: "higher" or "lower" is better.
    """

    title: str
    metric: str
    goal: str


TASKS = {
    "Shift": Task("Shift, both sides seen", "test/acc/len_16", "higher"),
    "Reverse": Task("Reverse, both sides seen", "test/acc/len_16", "higher"),
    "AssociativeRecall": Task("AssociativeRecall, causal", "test/acc/len_16", "higher"),
    "python_docs": Task("text_offline, causal", "test/bits_per_byte/len_64", "lower"),
}

# By task, mixer and encoding: what each seed reached.
Found = dict[str, dict[str, dict[str, list[float]]]]


def place(run: runs.Run) -> tuple[str, str, str]:
    """Task, mixer and encoding of a run, as the tables call them."""
    keys = run.keys
    mixer = str(keys["model.encoder.mixer"])
    if mask := keys.get("model.encoder.mask"):
        mixer += f", {mask} mask"
    task = keys.get("data.task") or keys["data.path"]
    return str(task), mixer, str(keys["model.positional"])


def gathered(found: Iterable[runs.Run]) -> tuple[Found, dict[str, float]]:
    """What the runs reached, and by task what is reached without any order."""
    values: Found = {}
    bounds: dict[str, float] = {}
    for run in sorted(found, key=lambda run: run.seed or 0):
        task, mixer, encoding = place(run)
        of_mixer = values.setdefault(task, {}).setdefault(mixer, {})
        of_mixer.setdefault(encoding, []).append(round(run.metrics[TASKS[task].metric], 4))
        if (bound := run.metrics.get("test/acc_without_order/len_16")) is not None:
            bounds[task] = round(bound, 4)
    return values, bounds


def cells(values: Found) -> Iterator[tuple[str, str, list[float]]]:
    """Task, mixer and seeds of every cell."""
    for task, mixers in values.items():
        for mixer, row in mixers.items():
            for seeds in row.values():
                yield task, mixer, seeds


def refusal(mixer: str, encoding: str) -> str:
    """Why there is no such run: the hook that the mixer does not honour, found by running."""
    kind = getattr(model, mixer.partition(",")[0])
    said = described_mixers.tried(kind, getattr(positional, encoding))
    return f"refuses `{said}`" if said in HOOKS else "not run"


def shown(of: Estimate) -> str:
    return f"{of.mean:.3f}" + (f" ± {of.half:.3f}" if of.half is not None else f" (n={of.n})")


def table(mixers: dict[str, dict[str, list[float]]]) -> list[str]:
    """Rows are mixers, columns encodings."""
    lines = [f"| mixer | {' | '.join(ENCODINGS)} |", "|---" * (1 + len(ENCODINGS)) + "|"]
    for mixer, row in mixers.items():
        cells = [
            shown(estimate(row[name])) if name in row else refusal(mixer, name)
            for name in ENCODINGS
        ]
        lines.append(f"| {mixer} | {' | '.join(cells)} |")
    return lines


def page(values: Found, bounds: dict[str, float]) -> str:
    n_runs = sum(len(each) for _, _, each in cells(values))
    setting = timing.described(timing.setting("torch", "lightning"))
    lines = [
        "# Mixers with encodings, on four tasks",
        "",
        f"{timing.command()}; {setting}; {n_runs} runs.",
        "",
        "Width 32, 2 heads, 2 layers; 400 steps of 32 sequences of 16 tokens, on text 16 of 64.",
        "A cell is the mean over seeds 0, 1 and 2 ± half of its interval of 95 % (Student's t).",
        "What follows from them: docs/mixers.md.",
        "",
        "![by task, mixer and encoding](mixers_study.png)",
    ]
    for name, task in TASKS.items():
        if name in values:
            metric = task.metric.split("/")[1].replace("acc", "accuracy").replace("_", " ")
            beside = f"; without order at best {bounds[name]:.3f}" if name in bounds else ""
            said = f"Test {metric}, {task.goal} is better{beside}."
            lines += ["", f"## {task.title}", "", said, "", *table(values[name])]
    return "\n".join(lines) + "\n"


def draw(values: Found, bounds: dict[str, float]) -> None:
    """A panel a task: mixers below one another, encodings by colour, with intervals."""
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    panels = figure.subplots(1, len(values))
    for panel, (name, mixers) in zip(panels, values.items(), strict=True):
        for shift, encoding in zip((-0.22, 0, 0.22), ENCODINGS, strict=True):
            rows = [(y, row[encoding]) for y, row in enumerate(mixers.values()) if encoding in row]
            made = [estimate(each) for _, each in rows]
            panel.errorbar(
                [each.mean for each in made],
                [y + shift for y, _ in rows],
                xerr=[each.half or 0 for each in made],
                fmt=MARKERS[encoding],
                markersize=4,
                linewidth=1,
                label=encoding,
            )
        if name in bounds:
            panel.axvline(bounds[name], color="0.5", linestyle=":", label="no order, at best")
        panel.set_yticks(range(len(mixers)), [each.replace(", ", ",\n") for each in mixers])
        panel.tick_params("y", labelsize=8)
        panel.set_ylim(len(mixers) - 0.4, -0.6)
        panel.grid(axis="x", color="0.9")
        panel.set_title(TASKS[name].title, fontsize=10)
        is_acc = TASKS[name].goal == "higher"
        panel.set_xlabel("accuracy" if is_acc else "bits per byte (lower is better)")
        if is_acc:
            panel.set_xlim(0, 1.05)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.savefig(OUT.with_suffix(".png"), dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="trials at once")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where they are kept")
    parser.add_argument("--write", action="store_true", help="keep table, numbers and picture")
    args = parser.parse_args()
    folders = [args.runs / name for name in SWEEPS]
    for name, folder in zip(SWEEPS, folders, strict=True):
        file = str(ROOT / "sweeps" / f"{name}.yaml")
        if lightning_posenc(["sweep", file, f"--jobs={args.jobs}", f"--sweep_dir={folder}"]):
            raise SystemExit(f"{folder}: the logs say why trials failed")
    where = [str(folder) for folder in folders]
    lightning_posenc(["report", *where, *REPORT, f"--out={args.runs / 'mixers_report'}"])
    whole = [run for run in runs.find(folders) if run.status == runs.FINISHED]
    values, bounds = gathered(whole)
    values = {name: values[name] for name in TASKS if name in values}
    text = page(values, bounds)
    print(text)
    if args.write:
        draw(values, bounds)
        timing.write(OUT, {"values": values, "without_order": bounds}, text)


if __name__ == "__main__":
    main()
