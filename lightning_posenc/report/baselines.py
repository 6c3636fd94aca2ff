"""What a score is to be compared with besides other rows: guessing, and other vocabularies."""

from collections.abc import Sequence

from lightning_posenc.diagnostics.metric_keys import parse
from lightning_posenc.diagnostics.quantities import MAJORITY
from lightning_posenc.report.metrics import BASELINES, Criterion, by_length
from lightning_posenc.report.runs import Run
from lightning_posenc.report.study import Study

BY_TOKEN = ("acc", "exact", "loss", "perplexity")  # of a language model: by token, not by text
UNBALANCED = 0.8


def bounds(run: Run) -> dict[int, float]:
    """Accuracy by length without order, at best; where that is not known, of the most frequent
    class.
    """
    without_order, majority = (by_length(run, name) for name in BASELINES)
    return {**majority, **without_order}


def mean_bounds(runs: Sequence[Run], name: str) -> dict[int, float]:
    """A baseline by length, the mean over runs.

    Args:
        runs: Of a column.
        name: Of BASELINES.
    """
    found: dict[int, list[float]] = {}
    for run in runs:
        for length, value in by_length(run, name).items():
            found.setdefault(length, []).append(value)
    return {length: sum(values) / len(values) for length, values in sorted(found.items())}


def said(study: Study) -> str:
    """Baselines of the accuracy that is compared, in a sentence; empty if there are none."""
    if study.metric.name != "acc":
        return ""
    parts = []
    for name, title in BASELINES.items():
        of = Criterion(str(parse(study.metric.key)._replace(name=name)), True)
        known = []
        for column in study.columns:
            values = [v.value for row in study.rows for run in study.at(row, column)
                      if (v := of.of(run)) is not None]  # fmt: skip
            if values:
                known.append(f"{sum(values) / len(values):.3f} on {column}")
        if known:
            parts.append(f"{title}: {', '.join(known)}")
    return f"To compare with: {'; '.join(parts)}." if parts else ""


def unbalanced(study: Study) -> list[str]:
    """Columns in which one class is so frequent that an accuracy says little."""
    found = []
    for column in study.columns if parse(study.metric.key).name == "acc" else ():
        runs = [run for row in study.rows for run in study.at(row, column)]
        most = max(mean_bounds(runs, MAJORITY).values(), default=0.0)
        if most > UNBALANCED:
            found.append(
                f"{column}: {most:.1%} of the targets are of one class, so that an accuracy says "
                "little: compare test/f1_macro/len_trained"
            )
    return found


def vocabulary(run: Run) -> tuple[str, ...] | None:
    """What a language model's text is cut into; None of other models."""
    if str(run.keys.get("model")) != "LanguageModel":
        return None
    name = str(run.keys.get("data.vocabulary"))
    size = run.keys.get("data.vocabulary_size") if name == "bpe" else None
    return (name,) if size is None else (name, str(size))


def different_vocabularies(study: Study) -> str | None:
    """Why rows cannot be compared by a number that counts by token, in a line; None if they can."""
    if parse(study.metric.key).name not in BY_TOKEN:
        return None
    for column in study.columns:
        runs = [run for row in study.rows for run in study.at(row, column)]
        found = sorted({" ".join(each) for run in runs if (each := vocabulary(run)) is not None})
        if len(found) > 1:
            return (
                f"{study.metric.key} counts by token, and on {column} tokens are of different "
                f"vocabularies ({', '.join(found)}): nothing is compared; take --metric "
                "test/bits_per_byte/len_trained"
            )
    return None
