"""The command `sweep`: run a sweep in W&B's format on this machine, with no server."""

import argparse
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from lightning_posenc import shipped
from lightning_posenc.mistakes.arguments import OneLineParser, made_directory

if TYPE_CHECKING:
    from lightning_posenc.sweep.trial import Trial

DESCRIPTION = """Run a sweep in W&B's format on this machine, with no server and no account. Each
trial keeps its run directory, with trial.json and trial.log, below the sweep's own. A sweep that
was interrupted or killed goes on where it was when the same command is given again."""


def run(args: list[str]) -> int:
    """Run a sweep.

    Returns:
        Exit status: 0, 1 if a trial failed or all diverged, 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        ValueError: What the user can mend.
        FileNotFoundError: If there is no such file.
    """
    given = _parse(args)
    given.file = Path(shipped.path_of("sweeps", str(given.file)))
    # Late, so that --help does not wait for them.
    from rich.console import Console

    from lightning_posenc.sweep import definition, resources
    from lightning_posenc.sweep.directory import SweepDirectory
    from lightning_posenc.sweep.display import Display
    from lightning_posenc.sweep.scheduler import Scheduler
    from lightning_posenc.sweep.searches import search_of
    from lightning_posenc.sweep.stacks import Stacks

    sweep = definition.load(given.file)
    chosen = search_of(sweep, given.seed)
    cap = given.run_cap or sweep.run_cap
    sizes = [size for size in (chosen.size, cap) if size is not None]
    if not sizes:
        raise ValueError(
            f"{given.file}: method {sweep.method} never ends: give run_cap: 20 in the file, or "
            "--run_cap 20"
        )
    jobs = given.jobs or max(1, len(resources.gpus()))
    place = given.sweep_dir or Path("runs", sweep.name)
    home = SweepDirectory(place if os.path.isfile(place) else made_directory("--sweep_dir", place))
    console = Console()
    stacks = Stacks(sweep) if given.stack_seeds else None
    with home:
        trials = home.take_up(given.file, sweep, chosen)
        if given.retry_failed:
            trials = {n: trial for n, trial in trials.items() if not trial.status.is_bad}
        with Display(sweep.parameters, sweep.metric, jobs, console) as display:
            scheduler = Scheduler(sweep, chosen, home, trials, jobs, display, min(sizes), stacks)
            interrupted = _run_until_told(scheduler.run)
        if (table := display.table()) is not None:
            console.print(table)
    if interrupted:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return 128 + interrupted
    return _conclude(scheduler.trials.values(), scheduler.missing, home.path)


def _parse(args: list[str]) -> argparse.Namespace:
    parser = OneLineParser("sweep", description=DESCRIPTION)
    parser.add_argument("file", type=Path, metavar="FILE", help="a sweep's YAML file")
    parser.add_argument(
        "--jobs", type=_positive, metavar="N",
        help="trials at once; each has its share of the cores (default: one a GPU, else 1)",
    )  # fmt: skip
    parser.add_argument(
        "--sweep_dir", type=Path, metavar="DIR", help="where it all goes (default: runs/<name>)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of random and bayes (default: 0)"
    )
    parser.add_argument(
        "--run_cap", type=_positive, metavar="N", help="most trials; beats the file's run_cap"
    )
    parser.add_argument(
        "--retry_failed", action="store_true", help="run trials again that failed or were killed"
    )
    parser.add_argument(
        "--stack_seeds",
        action="store_true",
        help="train trials that differ in seed_everything alone as one model, each with the "
        "numbers of its own run: faster for tiny models; what cannot be stacked runs as usual",
    )
    return parser.parse_args(args)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


class _Told(BaseException):
    """A signal asked the sweep to end."""


def _run_until_told(run: Callable[[], None]) -> int:
    """Run to the end, or until SIGINT or SIGTERM: its number, or 0."""

    def told(number: int, frame: FrameType | None) -> NoReturn:
        raise _Told(number)

    before = signal.signal(signal.SIGTERM, told)
    try:
        run()
    except KeyboardInterrupt:
        return signal.SIGINT
    except _Told as signalled:
        return signalled.args[0]
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _conclude(trials: "Collection[Trial]", missing: str | None, home: Path) -> int:
    from lightning_posenc.sweep.trial import Status

    counts = Counter(str(trial.status) for trial in trials)
    print(f"{', '.join(f'{n} {status}' for status, n in sorted(counts.items()))}: {home}")
    bad = [trial for trial in trials if trial.status.is_bad]
    if bad:
        print(
            f"error: {len(bad)} of {sum(counts.values())} trials failed, first {bad[0].name}: "
            f"{bad[0].error}; logs: {home}/*/trial.log; again: --retry_failed",
            file=sys.stderr,
        )
    lost = bool(trials) and counts[Status.DIVERGED] == len(trials)
    if lost:
        first = next(iter(trials))
        print(
            f"error: every trial diverged, first {first.name}: {first.error}: lower the learning "
            "rate, or look for parameters out of range",
            file=sys.stderr,
        )
    if missing:
        print(f"error: {missing}", file=sys.stderr)
    return 1 if bad or missing or lost else 0
