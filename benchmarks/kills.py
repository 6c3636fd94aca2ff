"""Kill a checkpointed fit at random moments, start it again by the same command, compare the end.

    python benchmarks/kills.py --kills 100 --write

A fit saves a checkpoint every few steps. It is killed (SIGKILL) a random time after its start, or
a random time after it has begun to write a checkpoint, and started again until it finishes; then
another fit follows, until there have been enough kills. Each must end as the fit that nobody
killed: weights, state of the optimizer and of the random numbers, test metrics and every row of
`metrics.csv`, bit by bit. With --write the figures go to
`benchmarks/results/kills.md`.

Each start is a process of its own, forked from one that has imported the package.
"""

import argparse
import csv
import json
import multiprocessing
import os
import platform
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
FIT = [
    "fit",
    "--config",
    str(ROOT / "configs" / "quickstart.yaml"),
    "--model.encoder={d_model: 32, n_heads: 2, n_layers: 2, dropout: 0.1}",
    "--model.positional=RoPE",
    "--model.positions=Randomized",
    "--data.steps_per_epoch=10",
    "--data.eval_samples=64",
    "--data.batch_size=8",
    "--trainer.max_epochs=3",
    "--trainer.log_every_n_steps=1",
    "--trainer.val_check_interval=5",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]
# A checkpoint every three steps and one with each validation, the best of these kept.
FIT += [
    "--trainer.callbacks=ModelCheckpoint",
    "--trainer.callbacks.filename=best",
    "--trainer.callbacks.monitor=val/loss",
    "--trainer.callbacks.enable_version_counter=false",
    "--trainer.callbacks+=ModelCheckpoint",
    "--trainer.callbacks.filename=last",
    "--trainer.callbacks.enable_version_counter=false",
    "--trainer.callbacks+=ModelCheckpoint",
    "--trainer.callbacks.filename=every_three_steps",
    "--trainer.callbacks.every_n_train_steps=3",
    "--trainer.callbacks.enable_version_counter=false",
]
WRITES: list[float] = []  # seconds that the writes took that were waited for
OUT = ROOT / "benchmarks" / "results" / "kills.md"
COSTS = ("seconds", "seconds_per_step", "peak_memory_mb", "peak_memory_of", "device")


def command(run_dir: Path) -> list[str]:
    """The one command that starts and restarts a run."""
    return [*FIT, f"--run_dir={run_dir}", "--ckpt_path=last"]


def fit(run_dir: Path) -> None:
    """Run the command with its output in `<run_dir>.log`."""
    torch.set_num_threads(1)
    from lightning_posenc.cli import main

    log = os.open(f"{run_dir}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["lightning_posenc"]
    sys.exit(main(command(run_dir)))


def started(context: Any, run_dir: Path) -> Any:
    process = context.Process(target=fit, args=(run_dir,))
    process.start()
    return process


def killed(context: Any, run_dir: Path, rng: random.Random, latest: float) -> str | None:
    """Start the fit, kill it, and say when that was; None if it had finished before.

    Args:
        context: Where processes come from.
        run_dir: The run directory.
        rng: Draws the moment.
        latest: Seconds after which no kill by the clock comes.
    """
    process = started(context, run_dir)
    checkpoints = run_dir / "checkpoints"

    def writing() -> bool:
        return any(checkpoints.glob("*.unfinished"))

    if rng.random() < 0.5:
        process.join(rng.uniform(0, latest))
    else:
        for _ in range(rng.randint(1, 4)):  # the n-th write from now on
            wait_until(lambda: writing() or not process.is_alive())
            begun = time.monotonic()
            wait_until(lambda: not writing() or not process.is_alive())
            WRITES.append(time.monotonic() - begun)
        wait_until(lambda: writing() or not process.is_alive())
        time.sleep(rng.uniform(0, statistics.median(WRITES)))
    if not process.is_alive():
        return None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    if process.exitcode != -signal.SIGKILL:
        return None
    if writing():
        return "while a checkpoint was written"
    return "at another moment" if any(checkpoints.glob("*.ckpt")) else "before the first checkpoint"


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def outcome(run_dir: Path) -> dict[str, Any]:
    """All that a run leaves and that must not depend on kills."""
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["status"] == "finished"
    found = {f"summary: {k}": v for k, v in summary.items() if k not in (*COSTS, "command", "git")}
    for name in ("last", "best"):
        checkpoint = torch.load(run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True)
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
            found[f"{name}.ckpt: {part}"] = checkpoint[part]
        found[f"{name}.ckpt: random numbers"] = checkpoint["callbacks"]["RandomState"]["cpu"]
    with (run_dir / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found["metrics.csv"] = sorted(json.dumps(row, sort_keys=True) for row in rows)
    return found


def same(a: Any, b: Any) -> bool:
    """Whether two outcomes are equal, bit by bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="kills in total")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--keep", type=Path, help="where to keep the runs; default nowhere")
    parser.add_argument("--write", action="store_true", help=f"keep results/{OUT.name}")
    parser.add_argument("--out", type=Path, help="another place for the page")
    args = parser.parse_args()
    out = args.out or (OUT if args.write else None)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lightning_posenc.training.command"])
    rng = random.Random(args.seed)
    with TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        started(context, folder / "first").join()  # imports
        begin = time.monotonic()
        started(context, folder / "whole").join()
        seconds = time.monotonic() - begin
        whole = outcome(folder / "whole")
        latest = seconds
        print(f"an unbroken fit takes {seconds:.1f} s", flush=True)
        moments: Counter[str] = Counter()
        differences: Counter[str] = Counter()
        restarts: list[int] = []
        text = ""
        while moments.total() < args.kills:
            run_dir = folder / f"killed_{len(restarts):02}"
            kills = 0
            while moments.total() < args.kills:
                moment = killed(context, run_dir, rng, latest)
                if moment is None:
                    latest *= 0.8  # the machine may have become faster
                    break
                kills += 1
                moments[moment] += 1
            last = started(context, run_dir)
            last.join()
            if last.exitcode != 0:
                sys.exit(f"the fit did not go on: see {run_dir}.log")
            found = outcome(run_dir)
            different = [key for key in whole if not same(found.get(key), whole[key])]
            differences.update(different)
            restarts.append(kills)
            print(f"{run_dir.name}: {kills} kills, different: {different or 'nothing'}", flush=True)
            text = page(args, moments, restarts, differences, seconds)
            if out is not None:
                out.write_text(text)
        print(text)


def page(
    args: argparse.Namespace,
    moments: Counter[str],
    restarts: list[int],
    differences: Counter[str],
    seconds: float,
) -> str:
    rows = "\n".join(f"| {moment} | {n} |" for moment, n in moments.most_common())
    ill = "; ".join(f"{what} in {n} of them" for what, n in differences.items()) or "nothing"
    return f"""# Kills

`python benchmarks/kills.py --kills {args.kills} --seed {args.seed} --write`

{moments.total()} kills (SIGKILL) in {len(restarts)} fits, median {statistics.median(restarts):g} a
fit, most {max(restarts)}. Each fit was started again by the same command (`--run_dir D --ckpt_path
last`) until it finished. An unbroken fit takes {seconds:.1f} s.

| moment of the kill | kills |
|---|---|
{rows}

Different from the unbroken fit at the end, compared bit by bit (weights, optimizer, schedule,
random numbers, test metrics, every row of `metrics.csv`): **{ill}**.

Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}.
"""


if __name__ == "__main__":
    main()
