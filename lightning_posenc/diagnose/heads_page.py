"""What the page says of a model's heads: rows of a name and a finding."""

from collections import Counter
from collections.abc import Sequence

from lightning_posenc.diagnose.heads import KINDS, OFFSET, OTHER, HeadRole

TITLE = "What heads do"
MOST = 16  # heads that are named, the costliest first
NOTABLE = 0.01  # nats that a head without a type must cost to be named


def rows(heads: Sequence[HeadRole]) -> list[tuple[str, str]]:
    """How many there are of each kind, and the heads that have one or that the loss needs."""
    counts = Counter(each.kind for each in heads)
    said = [("heads", ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]))]
    named = [each for each in heads if each.kind != OTHER or (each.removed or 0.0) >= NOTABLE]
    named.sort(key=lambda each: (-(each.removed or 0.0), -each.score))
    said += [(f"layer {each.layer}, head {each.head}", _head(each)) for each in named[:MOST]]
    if len(named) > MOST:
        said.append(("others", f"{len(named) - MOST} more cost less"))
    return said


def _head(each: HeadRole) -> str:
    kind = f"offset {each.at}" if each.kind == OFFSET else each.kind
    said = f"{kind} ({each.score:.2f})"
    if each.kind == OTHER:
        best = max(each.scores, key=lambda name: each.scores[name])
        said = f"no type ({best} {each.score:.2f})"
    if each.removed is None or each.by_offset is None:
        return said
    return (
        f"{said}; without it the loss grows by {each.removed:.2g} nats, with its weights by "
        f"distance alone by {each.by_offset:.2g}"
    )
