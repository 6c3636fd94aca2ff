"""What a score is to be compared with: what is reached without order, or without looking."""

import re
from collections.abc import Mapping
from typing import Any

import lightning as L

KEY = re.compile(r"test/(?P<metric>.+)/len_(?P<length>\d+)")
WITHOUT_ORDER = "acc_without_order"  # name of the metric that holds `bag_of_tokens_bounds`
MAJORITY = "majority"  # that of the share of the most frequent class


def bag_of_tokens_bounds(trainer: L.Trainer) -> dict[int, float]:
    """Best accuracy without order at each test length; empty if the data knows of none."""
    data = getattr(trainer, "datamodule", None)
    bounds: dict[int, float] = getattr(data, "bag_of_tokens_bounds", dict)()
    return bounds


def by_length(metrics: Mapping[str, Any], name: str) -> dict[int, float]:
    """A test metric by length, the shortest first.

    Args:
        metrics: By key.
        name: Such as "acc".
    """
    found = {
        int(match["length"]): float(value)
        for key, value in metrics.items()
        if (match := KEY.fullmatch(key)) and match["metric"] == name
    }
    return dict(sorted(found.items()))
