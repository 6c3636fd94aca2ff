"""How metric keys are written and read.

A key is words between slashes: `val/acc`, `test/acc/len_128`, `attn/entropy/layer_03/head_1`,
`pos_grad/layer_03/plane_00`. Nobody else takes one apart. A metric that the table of quantities
does not know is read by the same grammar, and what is better of it is told by the words of its
name.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from lightning_posenc.diagnostics.quantities import PART, QUANTITIES, Quantity

STAGES = ("train", "val", "test")
AT_LENGTH = ("trained", "longest", "beyond")  # for a number, of a length that each run has its own


class Key(NamedTuple):
    """A metric key, read; `str` writes it.

    Args:
        name: Of the quantity: "acc", "attn/entropy", "pos_grad/plane".
        stage: Of STAGES; "" for what is watched.
        length: A test length, or one of AT_LENGTH.
        layer: Counted from 0.
        part: Number of a head or of a rotary plane; None for the layer as a whole.
    """

    name: str
    stage: str = ""
    length: int | str | None = None
    layer: int | None = None
    part: int | None = None

    def __str__(self) -> str:
        row = QUANTITIES.get(self.name)
        own = self.name.replace("{", "{{").replace("}", "}}")  # a stranger's, to stay as it is
        form = row.form if row else own + ("" if self.layer is None else "/{layer}")
        if self.part is None:
            form = PART.sub("", form)
        layer = "" if self.layer is None else word_of(self.layer)
        words = [self.stage, form.format(layer=layer, part=self.part)]
        words += [] if self.length is None else [f"len_{self.length}"]
        return "/".join(word for word in words if word)

    @property
    def quantity(self) -> str:
        """What is measured, at whichever length and layer: "test/acc", "attn/entropy"."""
        return "/".join(word for word in (self.stage, self.name) if word)


def parse(key: str) -> Key:
    """Read any metric key; `str` of what is returned gives a key of the table back as it was."""
    words = key.split("/")
    stage = words.pop(0) if words[0] in STAGES else ""
    length: int | str | None = None
    if words and words[-1].startswith("len_"):
        said = words[-1].removeprefix("len_")
        length = said if said in AT_LENGTH else _whole(said)
        if length is not None:
            words.pop()
    layer = part = None
    for place, word in enumerate(words):
        if (number := _numbered(word)) and number[0] == "layer":
            layer = number[1]
            del words[place]
            # Within a layer, what is counted may stand last.
            if place < len(words) and (last := _numbered(words[-1])):
                part = last[1]
                words[-1:] = [] if last[0] == "head" and len(words) > 1 else [last[0]]
            break
    return Key("/".join(words), stage, length, layer, part)


def word_of(layer: int) -> str:
    """How keys name a layer."""
    return f"layer_{layer:02d}"


def _numbered(word: str) -> tuple[str, int] | None:
    """What is counted and its number: ("head", 1)."""
    what, _, said = word.rpartition("_")
    number = _whole(said)
    return (what, number) if what and number is not None else None


def _whole(said: str) -> int | None:
    """A whole number of no absurd size; None of any other word."""
    return int(said) if said.isdecimal() and len(said) < 20 else None


# Words of a name that the table does not know, by which people say what is better.
_USUAL = {
    False: (
        "loss", "losses", "perplexity", "ppl", "nll", "bpc", "bpb", "bits", "error", "errors",
        "mae", "mse", "rmse", "mape", "cer", "wer", "penalty", "seconds", "memory",
    ),
    True: (
        "acc", "accuracy", "exact", "f1", "majority", "r2", "auc", "auroc", "bleu", "rouge",
        "precision", "recall", "iou",
    ),
}  # fmt: skip


def of_name(name: str) -> Quantity | None:
    """The row of a quantity, or of what it is a part of: "acc/class_3" is an accuracy."""
    while name not in QUANTITIES:
        name = name.rpartition("/")[0]
        if not name:
            return None
    return QUANTITIES[name]


def is_higher_better(key: str) -> bool | None:
    """Whether more of a metric is better: by the table, else by the words of its name.

    A loss or an error of anything is better the lower. None if that does not say it.
    """
    name = parse(key).name
    if (row := of_name(name)) is not None:
        return row.higher
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^a-zA-Z0-9]+", " ", name).lower().split()
    words += [word.rstrip("0123456789") for word in words]  # acc5
    for higher, usual in _USUAL.items():
        if any(word in usual for word in words):
            return higher
    return None


def is_loss(key: str) -> bool:
    """Whether a metric is a loss, which ends a run where it is no finite number."""
    return "loss" in parse(key).name.split("/")


def by_length(metrics: Mapping[str, Any], name: str) -> dict[int, float]:
    """A test metric by length, the shortest first.

    Args:
        metrics: Numbers by key.
        name: Such as "acc".
    """
    found = {
        of.length: float(value)
        for key, value in metrics.items()
        if (of := parse(key)).stage == "test" and of.name == name and isinstance(of.length, int)
    }
    return dict(sorted(found.items()))
