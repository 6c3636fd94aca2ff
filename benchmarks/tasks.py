"""Check every task's generator against its brute-force solver, and time it.

    python benchmarks/tasks.py [--samples 10000] [--write]

Solvers are those of tests/tasks: they read one printed sequence at a time in plain Python. Speed is
that of one core at length 64 (or the nearest that the task can make), 128 samples a batch.
`--write` keeps the table in benchmarks/results/tasks.md.
"""

import argparse
import itertools
import os
import platform
import time
from pathlib import Path

import torch
from rich.progress import track
from torch.utils.data import DataLoader

from lightning_posenc.catalogue.tasks import available, example_length
from lightning_posenc.data import GlobalBatches, SyntheticData
from lightning_posenc.data.order import take
from lightning_posenc.tasks import Task, generate
from tests.tasks.solvers import all_solvers, solve

OUT = Path(__file__).parent / "results" / "tasks.md"
LENGTHS = (12, 40)
BATCH, LENGTH, SECONDS = 128, 64, 1.0
STREAM = 128  # samples of a stream that are compared


def tokens_per_second(task: Task) -> float:
    length = example_length(task, LENGTH)
    index = torch.arange(BATCH)
    made, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < SECONDS:
        made += generate(task, 0, "train", index, length).tokens.numel()
        index = index + BATCH
    return made / seconds


def stream(task: Task, world_size: int, num_workers: int, batch_size: int) -> torch.Tensor:
    """The first samples of the training stream, put together from the shares of the ranks."""
    length = example_length(task, LENGTHS[0])
    dataset = SyntheticData(task, length, batch_size=batch_size)._dataset("train", length)
    shares = []
    for rank in range(world_size):
        batches = GlobalBatches(batch_size, STREAM // batch_size, rank, world_size)
        loader = DataLoader(
            dataset, batch_sampler=batches, collate_fn=take, num_workers=num_workers
        )
        shares.append(torch.stack([batch.tokens for batch in loader]))  # (batches, G / W, T)
    return torch.stack(shares, dim=2).flatten(0, 2)


def check_streams() -> int:
    """Hold every task's stream against itself over ranks, workers and batch sizes."""
    settings = list(itertools.product((1, 2, 4), (0, 2), (32, 64)))
    for name, kind in track(available().items(), "ranks, workers, batch sizes"):
        try:
            task = kind()
            whole = stream(task, *settings[0])
        except (TypeError, FileNotFoundError):  # needs a file or other tasks
            continue
        for setting in settings[1:]:
            assert torch.equal(stream(task, *setting), whole), (name, setting)
    return len(settings)


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
    settings = check_streams()
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
            f"disagreement. The first {STREAM} samples of every training stream were the same "
            f"in {settings} settings: 1, 2, 4 ranks, 0, 2 workers, batches of 32 and 64.",
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
