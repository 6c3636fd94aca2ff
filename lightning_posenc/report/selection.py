"""Which runs count, once: filters, and several runs with the same row, column and seed."""

from collections.abc import Sequence
from typing import Any

from lightning_posenc.report.keys import below, clean, known, near, same, text
from lightning_posenc.report.metrics import Criterion
from lightning_posenc.report.runs import Run

Place = tuple[str, str, Any]
"""Row, column and seed."""

# Do not change what a run computes.
_OUTWARD = ("trainer.logger", "trainer.default_root_dir", "trainer.enable_progress_bar",
            "trainer.enable_model_summary", "trainer.profiler")  # fmt: skip


def matching(runs: Sequence[Run], filters: Sequence[str]) -> list[Run]:
    """Those runs that agree with every KEY=VALUE; several values of one key are alternatives.

    Raises:
        ValueError: If a filter is none, or no run has its key or its value.
    """
    wanted: dict[str, list[str]] = {}
    for given in filters:
        key, equals, value = given.partition("=")
        if not equals or not key:
            raise ValueError(f"--filter {given}: not KEY=VALUE, such as model.positional=RoPE")
        key = clean(key)
        check_key("--filter", key, runs)
        values = {text(run.keys[key]) for run in runs if key in run.keys}
        if not any(key in run.keys and same(run.keys[key], value) for run in runs):
            raise ValueError(f"--filter {given}: no run has it: {near(value, values)}")
        wanted.setdefault(key, []).append(value)
    kept = [
        run
        for run in runs
        if all(
            key in run.keys and any(same(run.keys[key], value) for value in values)
            for key, values in wanted.items()
        )
    ]
    if not kept:
        raise ValueError(f"--filter {' '.join(filters)}: no run agrees with all of them")
    return kept


def check_key(option: str, key: str, runs: Sequence[Run]) -> None:
    """Raise ValueError if no run has the key."""
    if not any(below(key, run.keys) for run in runs):
        hint = near(key, known(run.keys for run in runs))
        raise ValueError(f"{option} {key}: no run has that key: {hint}")


def one_a_place(
    runs: Sequence[tuple[Place, Run]], select: Criterion | None
) -> tuple[list[tuple[Place, Run]], list[str]]:
    """Leave one run for each row, column and seed.

    Args:
        runs: In the order of their names, with their places.
        select: The best of this is taken. None to take the last that was trained of those that
            have the same config, and to refuse those that have not.

    Returns:
        The runs, and what is to be said of those that were left out.

    Raises:
        ValueError: If runs of one place differ in more than their seed, with the keys.
    """
    places: dict[Place, list[Run]] = {}
    for place, run in runs:
        places.setdefault(place, []).append(run)
    kept, said = [], []
    for place, group in places.items():
        best = group[-1]
        if len(group) > 1 and select is not None:
            best = _best(group, select)
        elif len(group) > 1:
            if keys := differing(group):
                row, column, seed = place
                raise ValueError(
                    f"{group[0].name} and {len(group) - 1} more are all {row}, {column}, seed "
                    f"{seed}, but differ in {', '.join(keys[:4])}{', …' if len(keys) > 4 else ''}: "
                    f"add --by {keys[0]}, a --filter, --best_of {keys[0]} to take each row's best "
                    "value, or --select val/loss to take each seed's best"
                )
            best = next((run for run in reversed(group) if run.trained), best)
            others = ", ".join(run.name for run in group if run is not best)
            said.append(
                f"{others}: the same config and seed as {best.name}, which alone counts, being the "
                "last by name that was trained"
            )
        kept.append((place, best))
    if select is not None and len(kept) < len(runs):
        said.append(
            f"of the runs with the same row, column and seed, the one with the "
            f"{'highest' if select.higher else 'lowest'} {select.key} counts: {len(kept)} of "
            f"{len(runs)} (--select)"
        )
    return kept, said


def differing(runs: Sequence[Run], seeds: bool = True) -> list[str]:
    """Keys of what is computed in which configs differ.

    Args:
        runs: At least one.
        seeds: Whether the keys of seeds count (but that of the run itself, which never does).
    """
    configs = [
        {
            key: value
            for key, value in run.keys.items()
            if key.split(".")[0] in ("model", "data", "trainer")
            and not is_outward(key)
            and (seeds or not key.endswith("seed"))
        }
        for run in runs
    ]
    first, *others = configs
    keys = {key for config in configs for key in config}
    missing = object()
    return sorted(
        key for key in keys if any(c.get(key, missing) != first.get(key, missing) for c in others)
    )


def is_outward(key: str) -> bool:
    """Whether a key changes nothing that a run computes."""
    return key.startswith(_OUTWARD)


def _best(group: Sequence[Run], select: Criterion) -> Run:
    scored = [(found.value, run) for run in group if (found := select.of(run)) is not None]
    if not scored:
        raise ValueError(f"--select {select.key}: {group[0].name} and its like have not logged it")
    finite = [(value, run) for value, run in scored if value == value] or scored
    pick = max if select.higher else min
    return pick(finite, key=lambda pair: pair[0])[1]
