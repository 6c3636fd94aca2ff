"""`metrics.csv` as curves, of a long run too."""

import csv
import math
from pathlib import Path

from lightning_posenc.diagnostics.metric_keys import parse
from lightning_posenc.pages.curves import Points

MOST = 400  # points of a curve: more than a page has room for pixels
MOST_BYTES = 200_000_000  # of a file that is read while somebody waits


class RunHistory:
    """What a run logged.

    Args:
        path: Of `metrics.csv`; a missing file is an empty one.
    """

    def __init__(self, path: Path) -> None:
        self.curves: dict[str, Points] = {}
        self.last: dict[str, float] = {}  # of what is by layer, the last value
        if path.is_file() and path.stat().st_size <= MOST_BYTES:
            self._read(path)

    def _read(self, path: Path) -> None:
        found: dict[str, tuple[list[float], list[float]]] = {}
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(line.replace("\0", "") for line in file):
                step = _float(row.get("step"))
                if step is None:
                    continue
                for key, said in row.items():
                    if not said or key in ("step", "epoch") or not isinstance(key, str):
                        continue
                    value = _float(said)
                    if value is None:
                        continue
                    if parse(key).layer is not None:
                        self.last[key] = value
                    else:
                        xs, ys = found.setdefault(key, ([], []))
                        xs.append(step)
                        ys.append(value)
        self.curves = {key: _thinned(xs, ys) for key, (xs, ys) in found.items()}


def _float(said: object) -> float | None:
    try:
        return float(str(said))
    except ValueError:
        return None


def _thinned(xs: list[float], ys: list[float]) -> Points:
    """At most MOST points: means of as many neighbours as need be, so that noise is smoothed and
    nothing that lasts is lost; the last as it is.
    """
    each = math.ceil(len(xs) / MOST)
    if each <= 1:
        return Points(xs, ys)
    starts = range(0, len(xs), each)
    x = [xs[min(i + each, len(xs)) - 1] for i in starts]
    y = [math.fsum(part) / len(part) for i in starts if (part := ys[i : i + each])]
    return Points(x, [*y[:-1], ys[-1]])
