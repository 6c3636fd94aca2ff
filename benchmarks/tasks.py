"""Check every task's generator against its brute-force solver, and time it.

    python benchmarks/tasks.py [--samples 10000] [--write]

Solvers are those of tests/tasks: they read one printed sequence at a time in plain Python. Speed is
that of one core at length 64 (or the nearest that the task can make), 128 samples a batch.
`--write` keeps the table in benchmarks/results/tasks.md.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import torch
from rich.progress import track

from lightning_posenc.studies.tasks import available, example_length
from lightning_posenc.tasks import Task, generate
from tests.tasks.solvers import all_solvers, solve
from tests.tasks.test_generators import CASES

OUT = Path(__file__).parent / "results" / "tasks.md"
LENGTHS = (12, 40)
BATCH, LENGTH, SECONDS = 128, 64, 1.0


def tokens_per_second(task: Task) -> float:
    length = example_length(task, LENGTH)
    index = torch.arange(BATCH)
    made, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < SECONDS:
        made += generate(task, 0, "train", index, length).tokens.numel()
        index = index + BATCH
    return made / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    checked = []
    for name, (task, solver) in track(all_solvers().items(), "solvers"):
        lengths = sorted({example_length(task, length) for length in LENGTHS})
        for length in lengths:
            solve(task, solver, args.samples // len(lengths), length)
        checked.append(name)
    for case in track(CASES, "first tasks"):
        task, solver = case.values
        length = example_length(task, max(LENGTHS))
        sample = generate(task, 0, "train", torch.arange(args.samples), length)
        for tokens, targets in zip(sample.tokens.tolist(), sample.targets.tolist(), strict=True):
            assert solver(task, tokens)[0] == targets, (task, tokens)
        checked.append(type(task).__name__)
    rows = []
    solved = {name.split("-")[0] for name in checked}
    for name, kind in track(available().items(), "speed"):
        try:
            speed = f"{tokens_per_second(kind()) / 1e6:.2f}"
        except (TypeError, FileNotFoundError):
            speed = "needs a file or other tasks"
        rows.append(f"| `{name}` | {'yes' if name in solved else ''} | {speed} |")
    page = "\n".join(
        [
            "# Tasks: solvers and speed",
            "",
            f"`python benchmarks/tasks.py --samples {args.samples} --write`, one thread of "
            f"{os.cpu_count()} {platform.machine()} cores, torch {torch.__version__}. "
            f"{len(checked)} settings of the tasks were held against brute-force solvers, "
            f"{args.samples} samples each at lengths {' and '.join(map(str, LENGTHS))}: no "
            "disagreement.",
            "",
            "| task | has a solver | million tokens a second at length 64 |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )
    print(page)
    if args.write:
        OUT.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
