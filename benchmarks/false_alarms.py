"""How often does `report` call equal models different?

    python benchmarks/false_alarms.py --write

Tables of seven rows against a baseline, and of the best against the second, in which every row is
drawn alike: accuracies are multiples of 1/256. Counts the tables in which at least one difference
is called significant (the family-wise error, which should be at most .05), by number of seeds and
by how accuracies scatter. Beside it: a plain paired t test with Holm's correction, in which equal
differences are p = 0 (as `report` had it until 0.2), or are not tested.
"""

import argparse
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lightning_posenc.report.results import results_of
from lightning_posenc.report.statistics import LEVEL

ROWS, SAMPLES = 8, 256
Table = NDArray[np.float64]  # (rows, seeds), accuracies
OUT = Path(__file__).parent / "results" / "false_alarms.md"


def binomial(dice: np.random.Generator, rate: float | NDArray, seeds: int) -> Table:
    return dice.binomial(SAMPLES, rate, (ROWS, seeds)) / SAMPLES


def by_seed(dice: np.random.Generator, seeds: int) -> Table:
    """Seeds are harder or easier for all rows, and models differ from run to run."""
    rate = 0.5 + dice.normal(0, 0.1, seeds) + dice.normal(0, 0.05, (ROWS, seeds))
    return binomial(dice, rate.clip(0, 1), seeds)


def solving(share: float) -> Callable[[np.random.Generator, int], Table]:
    """A run solves its task (.99) or stays where it began (.25)."""
    return lambda dice, seeds: binomial(
        dice, np.where(dice.random((ROWS, seeds)) < share, 0.99, 0.25), seeds
    )


KINDS: dict[str, Callable[[np.random.Generator, int], Table]] = {
    "binomial, accuracy .3": lambda dice, seeds: binomial(dice, 0.3, seeds),
    "binomial, accuracy .99": lambda dice, seeds: binomial(dice, 0.99, seeds),
    "binomial, accuracy .999": lambda dice, seeds: binomial(dice, 0.999, seeds),
    "seeds and runs differ": by_seed,
    "half of the runs solve the task": solving(0.5),
    "8 of 10 runs solve the task": solving(0.8),
}


def ours(table: Table) -> bool:
    rows = [str(row) for row in range(ROWS)]
    values = {
        (row, ""): {str(seed): float(x) for seed, x in enumerate(line)}
        for row, line in zip(rows, table, strict=True)
    }
    return any(each.significant for each in results_of(values, rows, [""], True).comparisons)


def plain(table: Table, ties: float) -> bool:
    """Seven paired t tests with Holm's correction; equal differences have a p of `ties`."""
    found = []
    for row in table[1:]:
        differences = row - table[0]
        if np.ptp(differences) < 1e-12:
            found.append(1.0 if abs(differences.mean()) < 1e-12 else ties)
        else:
            error = differences.std(ddof=1) / math.sqrt(len(differences))
            found.append(2 * stats.t.sf(abs(differences.mean()) / error, len(differences) - 1))
    return min(found) * len(found) < LEVEL  # the first of Holm's steps decides whether any is


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=2000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the tables")
    parser.add_argument("--write", action="store_true", help=f"into {OUT.name}")
    args = parser.parse_args()
    lines = [
        "| seeds | accuracies | report | paired t | paired t, ties p = 0 |",
        "|---|---|---|---|---|",
    ]
    for seeds in (2, 3, 5):
        for kind, draw in KINDS.items():
            dice = np.random.default_rng([args.seed, seeds])
            tables = [draw(dice, seeds) for _ in range(args.tables)]
            rates = [
                sum(map(ours, tables)),
                sum(plain(table, 1.0) for table in tables),
                sum(plain(table, 0.0) for table in tables),
            ]
            shown = " | ".join(f"{rate / args.tables:.4f}" for rate in rates)
            lines.append(f"| {seeds} | {kind} | {shown} |")
            print(lines[-1], flush=True)
    text = (
        "# False alarms of a report\n\n"
        f"`python benchmarks/false_alarms.py --tables {args.tables} --seed {args.seed} --write`, "
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}.\n\n"
        f"Share of {args.tables} tables of equal models (a baseline and seven rows, accuracies of "
        f"{SAMPLES} samples) in which at least one difference is called significant. It should be "
        f"at most {LEVEL}; two seeds are not tested.\n\n" + "\n".join(lines) + "\n"
    )
    if args.write:
        OUT.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
