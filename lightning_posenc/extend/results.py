"""What the records of a study say: losses with intervals, and differences to the unchanged model.

Losses are in nats a token. An interval is a bootstrap over blocks of tokens of the evaluated
sequences: it says how the figure varies within these texts, and nothing of other texts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch

from lightning_posenc.pretrained.evaluating.intervals import Interval, difference, interval

UNCHANGED = "unchanged"
PASSKEY = "passkey"
ORDER = "order"

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Losses:
    """Of one method at one length, over one text or several.

    Args:
        blocks: Mean loss of each block of tokens, in the same order for every method.
        last: Mean loss of the last tokens of the sequences.
    """

    blocks: Sequence[float]
    last: float

    @property
    def mean(self) -> float:
        """Over all blocks."""
        return fmean(self.blocks)

    def interval(self) -> Interval:
        """The mean, with its interval."""
        return interval(torch.tensor(self.blocks))

    def over(self, other: "Losses") -> Interval:
        """By how much this loss is higher than another over the same tokens."""
        return difference(torch.tensor(self.blocks), torch.tensor(other.blocks))


@dataclass
class MethodRow:
    """What one method came to.

    Args:
        name: Of the method.
        texts: Losses by text, then by length; a length that it cannot do is left out.
        positions: Mean loss by position at the longest length, by text: (first position, loss).
        passkey: Share found, by length, then by depth.
        order: Share right of the order task, by length.
        seconds: Of one forward of a sequence of the longest length.
        peak_mb: Most memory that the process held meanwhile.
    """

    name: str
    texts: dict[str, dict[int, Losses]] = field(default_factory=dict)
    positions: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    passkey: dict[int, dict[float, float]] = field(default_factory=dict)
    order: dict[int, float] = field(default_factory=dict)
    seconds: float | None = None
    peak_mb: float | None = None

    def losses(self, length: int, text: str | None = None) -> Losses | None:
        """At a length, of a text or of all together; None if it is not there for each.

        Of several texts each weighs as many blocks as it has, which are as many for all methods.
        """
        names = list(self.texts) if text is None else [text]
        found = [self.texts.get(name, {}).get(length) for name in names]
        known = [each for each in found if each is not None]
        if not known or len(known) < len(found):
            return None
        blocks = [block for each in known for block in each.blocks]
        return Losses(blocks, fmean(each.last for each in known))

    def passkey_at(self, length: int) -> float | None:
        """Share found at a length, over all depths."""
        found = self.passkey.get(length)
        return fmean(found.values()) if found else None


@dataclass(frozen=True)
class StudyResults:
    """A study's rows, and what is common to them.

    Args:
        rows: One of them the unchanged model's.
        trained_length: Tokens of the longest sequence of the training.
        lengths: At which losses were asked for, ascending; the last is the target.
        last: How many tokens are the last ones.
    """

    rows: list[MethodRow]
    trained_length: int
    lengths: tuple[int, ...]
    last: int

    @property
    def texts(self) -> list[str]:
        """Names, as they were given."""
        return list(dict.fromkeys(name for row in self.rows for name in row.texts))

    @property
    def target(self) -> int:
        """The length that the model is extended to."""
        return self.lengths[-1]

    def change(self, row: MethodRow, length: int, text: str | None = None) -> Interval | None:
        """How much higher a row's loss is than the unchanged model's, on the same tokens.

        None for the unchanged model itself, and where one of them has no loss.
        """
        unchanged = next((each for each in self.rows if each.name == UNCHANGED), row)
        ours, theirs = row.losses(length, text), unchanged.losses(length, text)
        if row is unchanged or ours is None or theirs is None:
            return None
        return ours.over(theirs)

    def by_loss(self) -> list[MethodRow]:
        """The rows that reach the target, with a loss that is finite, the lowest first."""
        found = [(row.losses(self.target), row) for row in self.rows]
        means = [(losses.mean, row) for losses, row in found if losses is not None]
        reached = [(mean, row) for mean, row in means if math.isfinite(mean)]
        return [row for _, row in sorted(reached, key=lambda pair: pair[0])]


def take_up(row: MethodRow, test: str, record: Record) -> None:
    """Add a record to its row.

    Raises:
        ValueError: If it is not what was written.
    """
    try:
        if test == PASSKEY:
            row.passkey = {
                int(length): {float(depth): float(share) for depth, share in depths.items()}
                for length, depths in record["found"].items()
            }
        elif test == ORDER:
            row.order = {int(length): float(share) for length, share in record["right"].items()}
        else:
            row.texts[test] = {
                int(length): Losses([_number(b) for b in each["blocks"]], _number(each["last"]))
                for length, each in record["lengths"].items()
            }
            row.positions[test] = [(int(p), _number(loss)) for p, loss in record["positions"]]
            row.seconds = _most(row.seconds, record["seconds"])
            row.peak_mb = _most(row.peak_mb, record["peak_mb"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"the record of {row.name} on {test} is not one of a study ({error!r}): remove it"
        ) from None


def _number(value: float | None) -> float:
    """JSON has no NaN: a loss that was none is null there."""
    return math.nan if value is None else float(value)


def _most(one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)
