"""F1 of whole entities, in tags such as B-PER, I-PER, O."""

import re
from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_posenc.tasks import IGNORE

_TAG = re.compile(r"(?P<place>[BIESLU])-(?P<kind>.+)")
_AS_BIOES = {"L": "E", "U": "S"}  # BILOU says "last" and "unit" for "end" and "single"
OUTSIDE = ("O", "")

Tag = tuple[str, str]
"""Place in an entity and kind of entity; OUTSIDE."""


class EntityF1(Metric):
    """F1 of entities: one is right if its kind, its first and its last word are.

    Tags are read as the shared task of CoNLL-2000 and 2003 does (`conlleval`), which takes any
    sequence of BIO, BIOES or BILOU tags: an entity begins at B and S, after O, and where the kind
    changes.

    Args:
        names: Of the tags, in the order of their numbers.
    """

    full_state_update = False
    right: Tensor
    predicted: Tensor
    there: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.tags = [parse(name) or OUTSIDE for name in names]
        for name in ("right", "predicted", "there"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Count (B, T) predicted tags and their targets, IGNORE where nothing is scored."""
        for said, true in zip(predictions.tolist(), targets.tolist(), strict=True):
            scored = [place for place, tag in enumerate(true) if tag != IGNORE]
            found = entities([self.tags[said[place]] for place in scored])
            wanted = entities([self.tags[true[place]] for place in scored])
            self.right += len(found & wanted)
            self.predicted += len(found)
            self.there += len(wanted)

    def compute(self) -> Tensor:
        """2 right / (predicted + there); NaN if there are no entities, and none was predicted."""
        return 2 * self.right / (self.predicted + self.there)


def parse(name: str) -> Tag | None:
    """A tag's place and kind; None if it is no tag of such a scheme."""
    if name == OUTSIDE[0]:
        return OUTSIDE
    match = _TAG.fullmatch(name)
    return match and (_AS_BIOES.get(match["place"], match["place"]), match["kind"])


def are_entities(names: Any) -> TypeGuard[list[str]]:
    """Whether names of classes are tags of entities: all of a scheme, and O is not the only one."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return False
    parsed = [parse(name) for name in names]
    return all(parsed) and any(tag not in (None, OUTSIDE) for tag in parsed)


def entities(tags: Sequence[Tag]) -> set[tuple[str, int, int]]:
    """Kind, first place and place after the last of every entity in a sentence."""
    found = set()
    start, before = 0, OUTSIDE
    for place, tag in enumerate([*tags, OUTSIDE]):
        breaks = before[1] != tag[1] or before[0] in ("E", "S", "O") or tag[0] in ("B", "S", "O")
        if breaks and before != OUTSIDE:
            found.add((before[1], start, place))
        if breaks:
            start = place
        before = tag
    return found
