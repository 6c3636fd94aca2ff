"""JSON as the standard has it: a number that is none, or infinite, is null.

Python's own writes NaN and Infinity, which no other reader takes.
"""

import json
import math
from collections.abc import Mapping
from typing import Any


def text(value: Any, **options: Any) -> str:
    """A value as JSON.

    Args:
        value: Of mappings, lists, tuples, texts, numbers, booleans and None.
        options: Those of `json.dumps`.
    """
    return json.dumps(_finite(value), allow_nan=False, **options)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def _key(key: Any) -> Any:
    # json.dumps makes texts of such keys, and of these texts that are no numbers.
    return str(key) if isinstance(key, float) and not math.isfinite(key) else key
