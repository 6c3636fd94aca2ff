"""Which number of a run counts, whether more of it is better, and how it depends on length."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lightning_posenc.report.keys import near
from lightning_posenc.report.runs import Run

_BY_LENGTH = re.compile(r"test/(?P<name>.+)/len_(?P<length>\d+|trained|longest|beyond)")
PREFERRED = ("perplexity", "acc", "exact")  # before others, in this order; the loss last
_LOWER = re.compile(r"loss|perplexity|ppl|bpc|bits|error|mae|mse|penalty|seconds|memory")
_HIGHER = re.compile(r"acc|exact|f1|majority|r2|auc|bleu|precision|recall|effective_length")

BASELINES = {  # metrics by length that are no run's own
    "acc_without_order": "without order, at best",
    "majority": "always the most frequent class",
}
WHERE = {
    "trained": "at the longest trained length that was tested",
    "longest": "at the longest length that was tested",
    "beyond": "mean over the tested lengths that are longer than trained",
}


class Value(NamedTuple):
    """A run's number, and what it is of: a metric key or lengths."""

    value: float
    of: str


class Metric(NamedTuple):
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
        match = _BY_LENGTH.fullmatch(self.key)
        return match["name"] if match else None

    @property
    def title(self) -> str:
        """In words."""
        match = _BY_LENGTH.fullmatch(self.key)
        if match and match["length"] in WHERE:
            return f"test/{match['name']}, {WHERE[match['length']]}"
        return self.key

    def of(self, run: Run) -> Value | None:
        """A run's number; None if it has none."""
        match = _BY_LENGTH.fullmatch(self.key)
        if match is None or match["length"].isdigit():
            value = run.metrics.get(self.key)
            return None if value is None else Value(value, self.key)
        scores = by_length(run, match["name"])
        lengths = _chosen(list(scores), trained_lengths(run), match["length"])
        if not lengths:
            return None
        mean = sum(scores[length] for length in lengths) / len(lengths)
        return Value(mean, ", ".join(map(str, lengths)))


def choose(
    runs: Sequence[Run], key: str | None, goal: str | None, option: str = "--metric"
) -> Metric:
    """The metric that was asked for, or a sensible one that most runs have.

    Args:
        runs: Finished ones.
        key: As typed; None for the test metric by length that most runs have, at the longest
            trained length, else the one of validation.
        goal: "max" or "min"; None to tell from the name.
        option: Where it was typed.

    Raises:
        ValueError: If no run has the metric, or its name does not tell what is better.
    """
    if key is None:
        key = _sensible(runs)
    metric = Metric(key, True)
    if all(metric.of(run) is None for run in runs):
        names = {name for run in runs for name in run.metrics}
        raise ValueError(f"{option} {key}: no finished run has logged it: {near(key, names)}")
    if goal is not None:
        return metric._replace(higher=goal == "max")
    higher = is_higher_better(key)
    if higher is None:
        hint = "say --goal max or --goal min" if option == "--metric" else "name another metric"
        raise ValueError(f"{option} {key}: its name does not say what is better: {hint}")
    return metric._replace(higher=higher)


def is_higher_better(key: str) -> bool | None:
    """Whether more of a metric is better, by its name; None if that does not say."""
    if _LOWER.search(key):
        return False
    return True if _HIGHER.search(key) else None


def by_length(run: Run, name: str) -> dict[int, float]:
    """A test metric by length, the shortest first."""
    found = {}
    for key, value in run.metrics.items():
        match = _BY_LENGTH.fullmatch(key)
        if match and match["name"] == name and match["length"].isdigit():
            found[int(match["length"])] = value
    return dict(sorted(found.items()))


def trained_lengths(run: Run) -> tuple[int, int] | None:
    """The shortest and the longest length that a run was trained on; None if nobody knows."""
    return trained(run.keys)


def trained(keys: Mapping[str, Any]) -> tuple[int, int] | None:
    """The same, of a flat config: one length, two in a list, or an object that chooses them."""
    key = "data.train_length"
    value = keys.get(key)
    if isinstance(value, str):
        low, high = keys.get(f"{key}.low"), keys.get(f"{key}.high")
        below = (name.removeprefix(f"{key}.weights.") for name in _weighty(keys, key))
        value = [low, high] if low and high else [int(name) for name in below if name.isdecimal()]
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
    for stage in ("test/", "val/", ""):
        names = Counter(
            key.removeprefix(stage)
            for run in runs
            for key in run.metrics
            if key.startswith(stage)
            and "/layer_" not in key
            and key.rpartition("/")[2] not in BASELINES
        )
        if names:
            return stage + _preferred(names)
    raise ValueError("report: no finished run has logged a metric: nothing to compare")


def _tested(run: Run) -> set[str]:
    """Names of the test metrics that a run has by length."""
    found = {match["name"] for key in run.metrics if (match := _BY_LENGTH.fullmatch(key))}
    return found - BASELINES.keys()


def _vocabularies(runs: Sequence[Run]) -> int:
    keys = ("data.vocabulary", "data.vocabulary_size")
    return len({tuple(str(run.keys.get(key)) for key in keys) for run in runs})


def _preferred(names: Counter[str]) -> str:
    def rank(name: str) -> tuple[int, int, str]:
        place = PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)
        return -names[name], place + (name == "loss"), name

    return min(names, key=rank)
