"""How far does each encoding take an encoder-decoder: at trained lengths, beyond, and across?

    python benchmarks/pairs.py [--runs runs/pairs] [--only sides] [--write]

Runs `configs/translate_offline.yaml` on three tasks as pairs with five encodings on both sides
(NoPE in cross-attention), and on Reverse with others in cross-attention, between sides that
tell enough of places (Sinusoidal) and sides that do not (ALiBi); seeds 0, 1 and 2. Prints a table a
task: share of answers that are right to the last token, means over seeds with their intervals of
95 %. A run that is finished is not made again; one that was stopped goes on. With --write it writes
results/pairs.{md,json,png}.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import timing
from matplotlib.figure import Figure

from lightning_posenc.cli import main as lightning_posenc
from lightning_posenc.report.statistics import estimate

ROOT = Path(__file__).parents[1]
OUT = timing.RESULTS / "pairs.json"
SEEDS = (0, 1, 2)
SIDES = ("Sinusoidal", "RoPE", "ALiBi", "T5Bias", "NoPE")
ACROSS = ("NoPE", "RoPE", "ALiBi", "T5Bias")
# What is compared; across, with what stands on both sides.
WANTED = {"sides": SIDES, "across Sinusoidal": ACROSS, "across ALiBi": ("NoPE", "RoPE")}


class Task(NamedTuple):
    """What is learned.

    Args:
        options: Of `fit`.
        low: Shortest length of training.
        high: Longest length of training.
        steps: Of 64 pairs.
    """

    options: tuple[str, ...]
    low: int
    high: int
    steps: int

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tested: the longest of training, one and a half times, and twice as long."""
        return self.high, self.high + max(self.high // 2, 1), 2 * self.high


TASKS = {
    "Reverse": Task((), 2, 8, 1500),
    "SortNumbers": Task(("--data.task.max_digits=2",), 1, 4, 1500),
    "Addition": Task((), 1, 3, 4000),
}

# By task, where the encodings are, and encoding: of each seed, exact answers by length.
Found = dict[str, dict[str, dict[str, list[dict[str, float]]]]]


def fit(folder: Path, name: str, where: str, encoding: str, seed: int) -> dict[str, float]:
    """One run, or what is left of it: exact answers by length."""
    task = TASKS[name]
    fixed = where.removeprefix("across ")
    sides, across = (encoding, "NoPE") if where == "sides" else (fixed, encoding)
    run = folder / f"{name}-{sides}-{across}-{seed}"
    trained = {"low": task.low, "high": task.high, "bucket": 1}
    lengths = {"class_path": "UniformLengths", "init_args": trained}
    command = [
        "fit",
        f"--config={ROOT / 'configs' / 'translate_offline.yaml'}",
        f"--data.task={name}",
        *task.options,
        f"--data.train_length={json.dumps(lengths)}",
        f"--data.eval_lengths={[*task.lengths]}",
        f"--data.steps_per_epoch={task.steps}",
        f"--model.positional={sides}",
        f"--model.cross.positional={across}",
        f"--seed_everything={seed}",
        "--trainer.max_epochs=1",
        "--trainer.enable_model_summary=false",
        f"--run_dir={run}",
        "--ckpt_path=last",
    ]
    summary = run / "summary.json"
    finished = summary.exists() and json.loads(summary.read_text())["status"] == "finished"
    if not finished and lightning_posenc(command):
        raise SystemExit(f"{run}: did not finish")
    metrics: dict[str, float] = json.loads(summary.read_text())["metrics"]
    return {str(n): round(metrics[f"test/exact/len_{n}"], 4) for n in task.lengths}


def table(task: Task, rows: dict[str, list[dict[str, float]]]) -> list[str]:
    """Rows are encodings, columns lengths."""
    heads = " | ".join(str(n) + (" (trained)" if n == task.high else "") for n in task.lengths)
    lines = [f"| encoding | {heads} |", "|---" * (1 + len(task.lengths)) + "|"]
    for encoding, seeds in rows.items():
        made = [estimate([seed[str(n)] for seed in seeds]) for n in task.lengths]
        cells = [
            f"{e.mean:.3f} ± {e.half:.3f}" if e.half is not None else f"{e.mean:.3f}" for e in made
        ]
        lines.append(f"| {encoding} | {' | '.join(cells)} |")
    return lines


def page(found: Found) -> str:
    """All tables."""
    lines = [
        "# Encodings of an encoder-decoder",
        "",
        f"{timing.command()}; {timing.described(timing.setting('torch', 'lightning'))}.",
        "",
        "Width 64, 4 heads, 2 layers a side, batches of 64 pairs. A cell is the share of answers",
        "that are right to the last token, the mean over seeds 0, 1 and 2 ± half of its interval",
        "of 95 % (Student's t).",
        "",
        "![exact answers by length](pairs.png)",
    ]
    said = {
        where: "an encoding on both sides, none across"
        if where == "sides"
        else f"an encoding across, {where.removeprefix('across ')} on both sides"
        for where in WANTED
    }
    for name, places in found.items():
        task = TASKS[name]
        for where, rows in places.items():
            lines += ["", f"## {name}: {said[where]}", ""]
            lines += [f"{task.steps} steps, lengths {task.low} to {task.high}.", ""]
            lines += table(task, rows)
    return "\n".join(lines) + "\n"


def draw(found: Found) -> None:
    """A panel a task and place: exact answers by length, a line an encoding."""
    panels = [(name, where) for name, places in found.items() for where in places]
    figure = Figure(figsize=(3.4 * len(panels), 3.8), layout="constrained")
    axes: Any = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (name, where) in zip(axes, panels, strict=True):
        task = TASKS[name]
        for encoding, seeds in found[name][where].items():
            made = [estimate([seed[str(n)] for seed in seeds]) for n in task.lengths]
            halves = [each.half or 0 for each in made]
            means = [each.mean for each in made]
            axis.errorbar(task.lengths, means, yerr=halves, marker="o", capsize=2, label=encoding)
        axis.axvline(task.high, color="0.6", linestyle=":")
        axis.set_title(f"{name}, {'both sides' if where == 'sides' else where}", fontsize=10)
        axis.set_xticks(task.lengths)
        axis.set_xlabel("length (trained up to the line)")
        axis.set_ylim(-0.03, 1.03)
        axis.legend(fontsize=7)
    axes[0].set_ylabel("answers right to the last token")
    figure.savefig(OUT.with_suffix(".png"), dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "pairs")
    parser.add_argument("--only", choices=WANTED, help="all by default")
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--write", action="store_true", help="keep table, numbers and picture")
    args = parser.parse_args()
    found: Found = timing.read(OUT) if args.write else {}
    for name in args.tasks:
        for where in [args.only] if args.only else WANTED:
            if where != "sides" and name != "Reverse":
                continue
            for encoding in WANTED[where]:
                seeds = [fit(args.runs, name, where, encoding, seed) for seed in SEEDS]
                found.setdefault(name, {}).setdefault(where, {})[encoding] = seeds
                print(name, where, encoding, seeds, flush=True)
                if args.write:
                    draw(found)
                    timing.write(OUT, found, page(found))
    print(page(found))


if __name__ == "__main__":
    main()
