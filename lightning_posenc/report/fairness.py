"""Every row at its own best value of one key, such as the learning rate, and said so."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lightning_posenc.diagnostics.metric_keys import parse
from lightning_posenc.report.keys import text
from lightning_posenc.report.metrics import Criterion
from lightning_posenc.report.runs import Run
from lightning_posenc.report.selection import Place


class Tuned(NamedTuple):
    """What was chosen.

    Args:
        placed: The runs that count, with their places.
        said: Which values were tried, by what one was chosen, and which, in a sentence.
        notices: What is not fair about it.
    """

    placed: list[tuple[Place, Run]]
    said: str
    notices: list[str]


def best_of(placed: Sequence[tuple[Place, Run]], key: str, by: Criterion) -> Tuned:
    """Keep of each row and column the runs of the value of a key that is best over its seeds.

    A value is judged by the mean over its seeds, all of which then count: who picks the best run of
    each seed reports luck. Only values with as many seeds as any other of that row and column are
    judged.

    Args:
        placed: Runs with their places: row, column, seed.
        key: Of the config: "model.optimizer.lr".
        by: Metric that judges, of validation: who chooses by the test reports luck again.

    Raises:
        ValueError: If no row was tried at two values, or none of a row has the metric.
    """
    cells: dict[tuple[str, str], dict[str, list[tuple[Place, Run]]]] = {}
    numbers: dict[str, float] = {}
    for place, run in placed:
        value = run.keys.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers[text(value)] = float(value)
        cells.setdefault(place[:2], {}).setdefault(text(value), []).append((place, run))
    if all(len(values) < 2 for values in cells.values()):
        raise ValueError(
            f"--best_of {key}: no row was tried at two values of it: nothing is to be chosen"
        )
    kept: list[tuple[Place, Run]] = []
    chosen: dict[tuple[str, str], str] = {}
    for cell, values in cells.items():
        chosen[cell] = _best(cell, values, key, by)
        kept += values[chosen[cell]]
    tried = {cell: sorted(values, key=lambda v: (numbers.get(v, 0.0), v))
             for cell, values in cells.items()}  # fmt: skip
    better = "highest" if by.higher else "lowest"
    picks = "; ".join(f"{_name(cell, chosen)} {value}" for cell, value in sorted(chosen.items()))
    every = sorted({v for values in tried.values() for v in values},
                   key=lambda v: (numbers.get(v, 0.0), v))  # fmt: skip
    said = (
        f"Of {key} ({', '.join(every)}) each row and column counts at its own best value, the one "
        f"with the {better} mean {by.key} over its seeds: {picks}."
    )
    return Tuned(kept, said, _unfair(key, by, tried, chosen, numbers))


def _best(
    cell: tuple[str, str],
    values: Mapping[str, Sequence[tuple[Place, Run]]],
    key: str,
    by: Criterion,
) -> str:
    most = max(len({place[2] for place, _ in runs}) for runs in values.values())
    means = {}
    for value, runs in values.items():
        found = [each.value for _, run in runs if (each := by.of(run)) is not None]
        finite = [each for each in found if each == each]
        if len({place[2] for place, _ in runs}) == most and finite and len(finite) == len(found):
            means[value] = sum(finite) / len(finite)
    if not means:
        raise ValueError(
            f"--best_of {key}: no run of {cell[0]} on {cell[1]} has logged {by.key}: name another "
            "by --select"
        )
    return (max if by.higher else min)(means, key=means.__getitem__)


def _unfair(
    key: str,
    by: Criterion,
    tried: Mapping[tuple[str, str], Sequence[str]],
    chosen: Mapping[tuple[str, str], str],
    numbers: Mapping[str, float],
) -> list[str]:
    said = []
    if parse(by.key).stage == "test":
        said.append(f"{key} was chosen by {by.key}: scores of the test are too good by that choice")
    if len({tuple(values) for values in tried.values()}) > 1:
        counts = ", ".join(f"{_name(cell, chosen)}: {len(v)}" for cell, v in sorted(tried.items()))
        said.append(f"rows were not tried at the same values of {key} (how many: {counts})")
    edge = [
        f"{_name(cell, chosen)} at {value}"
        for cell, value in sorted(chosen.items())
        if len(tried[cell]) > 1 and value in numbers and value in (tried[cell][0], tried[cell][-1])
    ]
    if edge:
        said.append(f"the best {key} is the last that was tried, a further one may be better: "
                    f"{', '.join(edge)}")  # fmt: skip
    return said


def _name(cell: tuple[str, str], cells: Mapping[tuple[str, str], str]) -> str:
    columns = {column for _, column in cells}
    return cell[0] if len(columns) == 1 else f"{cell[0]} on {cell[1]}"
