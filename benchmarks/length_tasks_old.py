"""Trained on short problems, tested on longer ones: copy, reverse, even pairs, missing duplicate.

    python benchmarks/length_tasks.py [--jobs 2] [--seeds 3]

Each run is a `fit` of configs/decoder_task.yaml or configs/formal_language.yaml in a process of its
own. Runs that results/length_tasks.json holds already are not repeated; the tables are in
results/length_tasks.md.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.progress import track

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
KEPT = RESULTS / "length_tasks.json"

DECODERS = ("NoPE", "T5Bias", "ALiBi", "RoPE", "Sinusoidal")
FORMAL = {
    "relative": ["--model.positional=TransformerXL"],
    "relative, randomised": ["--model.positional=TransformerXL", "--model.positions=Randomized"],
    "sinusoidal": ["--model.positional=Sinusoidal"],
    "sinusoidal, randomised": ["--model.positional=Sinusoidal", "--model.positions=Randomized"],
}


class Study(NamedTuple):
    """A task and what it is trained with."""

    title: str
    config: str
    metric: str
    task: list[str]
    variants: dict[str, list[str]]


STUDIES = {
    "copy": Study(
        "Copy random symbols (Kazemnejad's cmc)",
        "decoder_task",
        "exact",
        [],
        {name: [f"--model.positional={name}"] for name in DECODERS},
    ),
    "reverse": Study(
        "Reverse (mc)",
        "decoder_task",
        "exact",
        ["--data.task=ReverseWords", "--data.task.n_symbols=10"],
        {name: [f"--model.positional={name}"] for name in DECODERS},
    ),
    "even pairs": Study("Even pairs", "formal_language", "acc", [], FORMAL),
    "missing duplicate": Study(
        "Missing duplicate", "formal_language", "acc", ["--data.task=MissingDuplicate"], FORMAL
    ),
}


class Run(NamedTuple):
    """One fit."""

    study: str
    variant: str
    seed: int

    @property
    def key(self) -> str:
        return f"{self.study}|{self.variant}|{self.seed}"

    def arguments(self) -> list[str]:
        study = STUDIES[self.study]
        return [
            f"--config={ROOT}/configs/{study.config}.yaml",
            *study.task,
            *study.variants[self.variant],
            f"--seed_everything={self.seed}",
            f"--data.seed={self.seed}",
        ]


def accuracies(run: Run) -> dict[str, float]:
    """Train; the study's metric at every test length."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from lightning_posenc.cli import main as lightning_posenc

    torch.set_num_threads(1)
    with TemporaryDirectory() as directory:
        quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
        arguments = ["fit", *run.arguments(), *quiet, f"--run_dir={directory}/run"]
        if status := lightning_posenc(arguments):
            raise SystemExit(status)
        metrics = json.loads(Path(directory, "run", "summary.json").read_text())["metrics"]
    prefix = f"test/{STUDIES[run.study].metric}/len_"
    return {key.removeprefix(prefix): v for key, v in metrics.items() if key.startswith(prefix)}


def tables(kept: dict[str, dict[str, float]]) -> Iterator[str]:
    """A table for each study: mean (lowest to highest) over seeds."""
    for name, study in STUDIES.items():
        rows = []
        for variant in study.variants:
            runs = [v for key, v in kept.items() if key.startswith(f"{name}|{variant}|")]
            if not runs:
                continue
            lengths = sorted(runs[0], key=int)
            cells = []
            for length in lengths:
                values = [run[length] for run in runs]
                spread = f"{min(values):.2f}-{max(values):.2f}"
                cells.append(f"{statistics.mean(values):.3f} ({spread})")
            rows.append((lengths, f"| {variant} | {len(runs)} | {' | '.join(cells)} |"))
        if rows:
            lengths = rows[0][0]
            yield f"\n## {study.title}: {study.metric}\n"
            yield f"| encoding | seeds | {' | '.join(lengths)} |"
            yield "| --- " * (len(lengths) + 2) + "|"
            yield from (row for _, row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(STUDIES), choices=list(STUDIES))
    args = parser.parse_args()
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    runs = [
        Run(name, variant, seed)
        for seed in range(args.seeds)
        for name in args.only
        for variant in STUDIES[name].variants
    ]
    runs = [run for run in runs if run.key not in kept]
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(accuracies, run): run for run in runs}
        for job in track(as_completed(jobs), "runs", total=len(jobs)):
            kept[jobs[job].key] = job.result()
            KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    page = "\n".join(
        [
            "# Trained on short problems, tested on longer ones",
            "",
            f"`python benchmarks/length_tasks.py`, {datetime.date.today()}, "
            f"{os.cpu_count()} {platform.machine()} cores, one thread a run. Cells: mean over "
            "seeds (lowest to highest).",
            *tables(kept),
            "",
        ]
    )
    (RESULTS / "length_tasks.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
