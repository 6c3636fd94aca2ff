"""What is relied on of the `datasets` library without its promise.

Each function is one reach; tests/compat holds a canary for each, which says what broke.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def fingerprint(dataset: Any) -> str:
    """Give what tells a dataset's contents from any other's."""
    return dataset._fingerprint


def hashed(key: object) -> str:
    """Give a digest of a picklable object, the same in every process."""
    from datasets.fingerprint import Hasher

    return Hasher.hash(key)


@contextmanager
def setting(name: str, value: Any) -> Iterator[None]:
    """Within, a setting of `datasets.config` that is read when data is loaded."""
    import datasets

    before = getattr(datasets.config, name)
    setattr(datasets.config, name, value)
    try:
        yield
    finally:
        setattr(datasets.config, name, before)
