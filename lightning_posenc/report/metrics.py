"""Which number of a run counts, whether more of it is better, and how it depends on length."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lightning_posenc.diagnostics import metric_keys
from lightning_posenc.diagnostics.metric_keys import Key, parse
from lightning_posenc.diagnostics.quantities import QUANTITIES
from lightning_posenc.report.keys import near
from lightning_posenc.report.runs import Run

PREFERRED = ("perplexity", "acc", "exact")  # before others, in this order; the loss last

BASELINES = {name: row.title for name, row in QUANTITIES.items() if row.baseline}
WHERE = {
    "trained": "at the longest trained length that was tested",
    "longest": "at the longest length that was tested",
    "beyond": "mean over the tested lengths that are longer than trained",
}


class Value(NamedTuple):
    """A run's number, and what it is of: a metric key or lengths."""

    value: float
    of: str


class Criterion(NamedTuple):
    """What is compared.

    Args:
        key: A metric key; or one that ends in `len_trained`, `len_longest` or `len_beyond`, which
            is another length for each run.
        higher: Whether more is better.
    """

    key: str
    higher: bool

    @property
    def name(self) -> str | None:
        """Name of a metric that depends on length: "acc"."""
        of = parse(self.key)
        return of.name if _is_by_length(of) else None

    @property
    def title(self) -> str:
        """In words."""
        of = parse(self.key)
        if _is_by_length(of) and of.length in WHERE:
            return f"{of.quantity}, {WHERE[str(of.length)]}"
        return self.key

    def of(self, run: Run) -> Value | None:
        """A run's number; None if it has none."""
        of = parse(self.key)
        if not _is_by_length(of) or not isinstance(of.length, str):
            value = run.metrics.get(self.key)
            return None if value is None else Value(value, self.key)
        scores = by_length(run, of.name)
        lengths = _chosen(list(scores), trained_lengths(run), of.length)
        if not lengths:
            return None
        mean = sum(scores[length] for length in lengths) / len(lengths)
        return Value(mean, ", ".join(map(str, lengths)))


def _is_by_length(of: Key) -> bool:
    return of.stage == "test" and of.length is not None and bool(of.name)


def choose(
    runs: Sequence[Run], key: str | None, goal: str | None, option: str = "--metric"
) -> Criterion:
    """The metric that was asked for, or a sensible one that most runs have.

    Args:
        runs: Finished ones.
        key: As typed; None for the test metric by length that most runs have, at the longest
            trained length, else the one of validation.
        goal: "max" or "min"; None to tell from the quantity, or from what torchmetrics says of it.
        option: Where it was typed.

    Raises:
        ValueError: If no run has the metric, or its name does not tell what is better.
    """
    if key is None:
        key = _sensible(runs)
    metric = Criterion(key, True)
    if all(metric.of(run) is None for run in runs):
        names = {name for run in runs for name in run.metrics}
        raise ValueError(f"{option} {key}: no finished run has logged it: {near(key, names)}")
    if goal is not None:
        return metric._replace(higher=goal == "max")
    higher = metric_keys.is_higher_better(key)
    if higher is None:
        higher = _said_by(runs, parse(key).name)
    if higher is None:
        hint = "say --goal max or --goal min" if option == "--metric" else "name another metric"
        raise ValueError(f"{option} {key}: its name does not say what is better: {hint}")
    return metric._replace(higher=higher)


def of_validation(runs: Sequence[Run], metric: Criterion) -> Criterion:
    """Give the metric of validation that belongs to one of the test, else val/loss.

    Args:
        runs: Finished ones.
        metric: What is compared.

    Raises:
        ValueError: If no run has either.
    """
    own = Criterion(str(Key(parse(metric.key).name, "val")), metric.higher)
    if any(own.of(run) is not None for run in runs):
        return own
    return choose(runs, "val/loss", None, "--select")


def _said_by(runs: Sequence[Run], name: str) -> bool | None:
    """Whether more is better of a metric that runs say it of."""
    for run in runs:
        said: bool | None = run.higher_is_better.get(name)
        if said is not None:
            return said
    return None


def by_length(run: Run, name: str) -> dict[int, float]:
    """A test metric by length, the shortest first."""
    return metric_keys.by_length(run.metrics, name)


def trained_lengths(run: Run) -> tuple[int, int] | None:
    """The shortest and the longest length that a run was trained on; None if nobody knows."""
    return trained(run.keys)


def trained(keys: Mapping[str, Any]) -> tuple[int, int] | None:
    """The same, of a flat config: one length, two in a list, an object that chooses them, or the
    size of images.
    """
    key = "data.train_length"
    value = keys.get(key, keys.get("data.image_size"))
    if isinstance(value, str):
        low, high = keys.get(f"{key}.low"), keys.get(f"{key}.high")
        below = (name.removeprefix(f"{key}.weights.") for name in _weighty(keys, key))
        chosen = [int(name) for name in below if name.isdecimal()]
        staged = [each for name, each in keys.items() if name.startswith(f"{key}.stages.")]
        value = [low, high] if low and high else chosen or staged
    lengths = value if isinstance(value, list) else [value]
    if not lengths or not all(isinstance(length, int) for length in lengths):
        return None
    return min(lengths), max(lengths)


def _weighty(keys: Mapping[str, Any], key: str) -> list[str]:
    """Keys of the lengths that are drawn at all."""
    return [
        name
        for name, weight in keys.items()
        if name.startswith(f"{key}.weights.") and isinstance(weight, int | float) and weight > 0
    ]


def _chosen(lengths: list[int], trained: tuple[int, int] | None, where: str) -> list[int]:
    """Those of the tested lengths (in order) that are meant."""
    if not lengths:
        return []
    if where == "longest":
        return lengths[-1:]
    if trained is None:
        return lengths[:1] if where == "trained" else []
    if where == "beyond":
        return [length for length in lengths if length > trained[1]]
    return [length for length in lengths if length <= trained[1]][-1:] or lengths[:1]


def _sensible(runs: Sequence[Run]) -> str:
    tested = Counter(name for run in runs for name in _tested(run))
    if tested["bits_per_byte"] == len(runs) and _vocabularies(runs) > 1:
        return "test/bits_per_byte/len_trained"
    if tested:
        return f"test/{_preferred(tested)}/len_trained"
    scores = {
        key: of
        for run in runs
        for key in run.metrics
        if (of := parse(key)).layer is None and of.name not in BASELINES
    }
    for stage in ("test/", "val/", ""):
        names = Counter(
            key.removeprefix(stage)
            for run in runs
            for key in run.metrics
            if key in scores and key.startswith(stage)
        )
        if names:
            return stage + _preferred(names)
    raise ValueError("report: no finished run has logged a metric: nothing to compare")


def _tested(run: Run) -> set[str]:
    """Names of the test metrics that a run has by length."""
    found = {of.name for key in run.metrics if _is_by_length(of := parse(key))}
    return found - BASELINES.keys()


def _vocabularies(runs: Sequence[Run]) -> int:
    keys = ("data.vocabulary", "data.vocabulary_size")
    return len({tuple(str(run.keys.get(key)) for key in keys) for run in runs})


def _preferred(names: Counter[str]) -> str:
    def rank(name: str) -> tuple[int, int, str]:
        place = PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)
        return -names[name], place + (name == "loss"), name

    return min(names, key=rank)
