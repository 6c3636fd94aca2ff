"""How soon does a command answer, and a fit train?

    python benchmarks/startup.py [--rounds 7] [--write]

Seconds of `--help`, of `import torch, lightning` alone, and of `fit` with configs/quickstart.yaml
until its first training step is done, each in a process of its own. Times are the processor's,
user and system: what a process takes on a machine with nothing else to do, since starting up is
the work of one thread. A round takes each once, and the ratio is taken within rounds. `--write`
keeps results/startup.md and startup.json.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import timing

OUT = timing.RESULTS / "startup.json"
ROOT = Path(__file__).parents[1]
IMPORTS, FIT = "import torch, lightning", "fit, to the end of its first step"
# The command line itself, which finds the callback below.
COMMAND = f"""
import sys

sys.path.append({str(Path(__file__).parent)!r})
from lightning_posenc.cli import main

sys.exit(main())
"""
AT_MOST = {"--help": 1.0, FIT: 9.0}
PACKAGES = ("torch", "lightning", "torchmetrics")


class StopAfterFirstStep(L.Callback):
    """Ends the process, with nothing tidied up."""

    def on_train_batch_end(self, *args: Any) -> None:
        os._exit(0)


def of_children() -> float:
    """Seconds of the processor that ended child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start(*args: str) -> None:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *args], env=env, cwd=ROOT, check=True, capture_output=True)


def fit() -> None:
    """Up to its first step, in a run directory of its own."""
    with TemporaryDirectory() as folder:
        start(
            *("-c", COMMAND, "fit", "--config=configs/quickstart.yaml"),
            *(f"--run_dir={folder}/run", "--trainer.callbacks+=startup.StopAfterFirstStep"),
        )


def measure(n_rounds: int) -> dict[str, list[float]]:
    """Seconds of each, by name."""
    steps = {
        "--help": partial(start, "-m", "lightning_posenc", "--help"),
        IMPORTS: partial(start, "-c", IMPORTS),
        FIT: fit,
    }
    return timing.rounds(steps, n_rounds, of_children)


def page(seconds: dict[str, list[float]], setting: dict[str, str]) -> str:
    lines = [
        "# Starting up",
        "",
        f"{timing.command()}; {timing.described(setting)}.",
        "",
        (__doc__ or "").split("\n\n")[2].strip(),
        "",
        f"| what | seconds, median (least-most) of {len(seconds[FIT])} | over the imports alone "
        "| at most |",
        "|---|---|---|---|",
    ]
    for name, times in seconds.items():
        median, most = statistics.median(times), AT_MOST.get(name)
        verdict = "" if most is None else f"{most:.0f} s{'' if median < most else ' exceeded'}"
        over = "" if name == IMPORTS else timing.ratio(times, seconds[IMPORTS])
        lines.append(
            f"| {name} | {median:.2f} ({min(times):.2f}-{max(times):.2f}) | {over} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="at least 2")
    parser.add_argument("--write", action="store_true", help=f"keep results/{OUT.name}")
    args = parser.parse_args()
    seconds = measure(args.rounds)
    setting = timing.setting(*PACKAGES)
    told = page(seconds, setting)
    print(told)
    if args.write:
        timing.write(OUT, {"seconds": seconds, **setting}, told)


if __name__ == "__main__":
    main()
