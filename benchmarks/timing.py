"""What the benchmarks of speed share: rounds, ratios with their spread, where they were taken."""

import datetime
import importlib.metadata
import json
import logging
import os
import platform
import re
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lightning_posenc.runs.whole_files import whole_file

RESULTS = Path(__file__).parent / "results"


class Ratio(NamedTuple):
    """Median and quartiles of the ratios of two contenders' times, round by round."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f}-{self.high:.3f})"


def rounds(
    steps: Mapping[str, Callable[[], object]],
    n: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Seconds of each contender's step in every one of n rounds, after one that is not counted.

    Every other round goes backwards, so that none always has the same one before it.

    Args:
        steps: A step of each contender, by name.
        n: At least 2.
        clock: By default the processor's time: with one thread that is what the step would take on
            a machine with nothing else to do, however busy this one is.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(n + 1):
        for name in list(steps)[:: 1 if number % 2 else -1]:
            start = clock()
            steps[name]()
            if number > 0:
                seconds[name].append(clock() - start)
    return seconds


def ratio(ours: list[float], theirs: list[float]) -> Ratio:
    """Ours over theirs, from at least 2 rounds."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median, low, high)


def milliseconds(seconds: list[float]) -> float:
    """The median."""
    return 1e3 * statistics.median(seconds)


def setting(*packages: str) -> dict[str, str]:
    """When, on what kind of machine and with which versions something was measured."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} {platform.machine()} cores, {platform.system()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def described(setting: Mapping[str, str]) -> str:
    """The same in one line."""
    return ", ".join(
        value if name in ("date", "machine") else f"{name} {value}"
        for name, value in setting.items()
    )


def command() -> str:
    """What was typed, as Markdown code, but for the choice of rows, for others were kept before,
    and for where runs lie, which is of one machine.
    """
    typed = re.sub(r" --(only|runs)( [^-]\S*)*", "", " ".join(["", *sys.argv[1:]]))
    return f"`python benchmarks/{Path(sys.argv[0]).name}{typed}`"


def silence() -> None:
    """No advice of Lightning's and no warnings between the figures."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


def read(file: Path) -> dict[str, Any]:
    """Rows measured before, by name."""
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def write(file: Path, rows: Mapping[str, Any], page: str | None = None) -> None:
    """Keep rows as JSON, and a page of them as Markdown beside it."""
    with whole_file(file) as kept:
        kept.write(json.dumps(rows, indent=1) + "\n")
    if page is not None:
        file.with_suffix(".md").write_text(page, "utf-8")
