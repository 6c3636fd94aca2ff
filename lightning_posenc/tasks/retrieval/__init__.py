"""Tasks that find something: by its content, by its distance, or by its index."""

from lightning_posenc.tasks.retrieval.associative_recall import AssociativeRecall
from lightning_posenc.tasks.retrieval.count_between import CountBetween
from lightning_posenc.tasks.retrieval.index_lookup import IndexLookup
from lightning_posenc.tasks.retrieval.induction import Induction
from lightning_posenc.tasks.retrieval.passkey import Passkey
from lightning_posenc.tasks.retrieval.relative_lookup import RelativeLookup
from lightning_posenc.tasks.retrieval.selective_copy import SelectiveCopy
from lightning_posenc.tasks.retrieval.sorting import Sorting

__all__ = [
    "AssociativeRecall",
    "CountBetween",
    "IndexLookup",
    "Induction",
    "Passkey",
    "RelativeLookup",
    "SelectiveCopy",
    "Sorting",
]
