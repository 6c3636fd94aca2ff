"""What a run's own numbers say of its health, without examining the model.

The thresholds are the doctor's; what needs the model itself, only `diagnose` can say.
"""

from collections.abc import Mapping
from typing import NamedTuple

from lightning_posenc.diagnostics.metric_keys import by_length, parse
from lightning_posenc.diagnostics.quantities import WITHOUT_ORDER
from lightning_posenc.diagnostics.thresholds import (
    AT_BOUND,
    ORDER_ILL,
    ORDER_WATCH,
    RANK_ILL,
    RANK_WATCH,
)

ILL, WATCH, FINE = "ill", "watch", "fine"


class Remark(NamedTuple):
    """Something that the numbers say.

    Args:
        verdict: ILL, WATCH or FINE.
        said: In a sentence.
    """

    verdict: str
    said: str


def remarks(metrics: Mapping[str, float], last: Mapping[str, float]) -> list[Remark]:
    """Judge a run by what it logged; the worst first, nothing of what was not watched.

    Args:
        metrics: Its last value of each metric.
        last: Its last value of each quantity by layer.

    Example:
        >>> remarks({}, {"rank/residual/layer_00": 0.9, "rank/residual/layer_01": 0.01,
        ...              "rank/residual/layer_02": 0.01})[0].verdict
        'ill'
    """
    found = [*_bound(metrics), *_rank(last), *_order(metrics, last)]
    return sorted(found, key=lambda each: (ILL, WATCH, FINE).index(each.verdict))


def _bound(metrics: Mapping[str, float]) -> list[Remark]:
    """Does it do more than could be done without order, at the shortest length tested?"""
    scores, bounds = (by_length(metrics, name) for name in ("acc", WITHOUT_ORDER))
    common = [length for length in scores if bounds.get(length, 1.0) < 1]
    if not common:
        return []
    length = common[0]
    acc, bound = scores[length], bounds[length]
    said = f"accuracy {acc:.3f} at length {length}; without order at best {bound:.3f}"
    if acc < bound + AT_BOUND * (1 - bound):
        return [Remark(ILL, f"no better than blind to order: {said}")]
    return [Remark(FINE, f"it uses order: {said}")]


def _rank(last: Mapping[str, float]) -> list[Remark]:
    layers = _layers(last, "rank/residual")
    if len(layers) < 2:
        return []
    # What a block reads; after the last one, a pooled model needs no more.
    before = {layer: value for layer, value in layers.items() if layer < max(layers)}
    where, least = min(before.items(), key=lambda pair: pair[1])
    said = f"of a token's state at least {least:.3f} is its own (after {where} blocks)"
    if least < RANK_ILL:
        return [Remark(ILL, f"tokens become alike with depth: {said}")]
    if least < RANK_WATCH:
        return [Remark(WATCH, f"tokens become much alike with depth: {said}")]
    return [Remark(FINE, f"tokens stay distinct: {said}")]


def _order(metrics: Mapping[str, float], last: Mapping[str, float]) -> list[Remark]:
    change = metrics.get("order/shuffled", last.get("order/shuffled"))
    if change is None:
        return []
    said = f"shuffling the tokens changes the outputs by {change:.2g} of their spread"
    if change < ORDER_ILL:
        return [Remark(ILL, f"the model ignores order: {said}")]
    if change < ORDER_WATCH:
        return [Remark(WATCH, f"the model heeds order little: {said}")]
    return [Remark(FINE, f"the model heeds order: {said}")]


def _layers(last: Mapping[str, float], name: str) -> dict[int, float]:
    found = {}
    for key, value in last.items():
        of = parse(key)
        if of.name == name and of.layer is not None and of.part is None:
            found[of.layer] = value
    return found
