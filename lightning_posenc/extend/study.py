"""A study: methods by texts and tasks, each pair measured once and kept at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lightning_posenc.extend.contenders import Contender, Ready
from lightning_posenc.extend.measuring import text_record
from lightning_posenc.extend.question import Question
from lightning_posenc.extend.records import RecordKey, Records
from lightning_posenc.extend.results import (
    ORDER,
    PASSKEY,
    UNCHANGED,
    MethodRow,
    StudyResults,
    take_up,
)
from lightning_posenc.extend.texts import Evaluated
from lightning_posenc.pretrained.evaluating.order_task import order_task
from lightning_posenc.pretrained.evaluating.passkey import passkey

if TYPE_CHECKING:
    from lightning_posenc.pretrained.reading import Pretrained

NO_MEMORY = "too large for this machine's memory"
_NO_MEMORY_SAID = ("out of memory", "can't allocate memory", "not enough memory")
NO_END = "the model cannot read as many tokens: its code ends before"
_NO_END_SAID = ("out of bounds", "out of range")


class Planned(NamedTuple):
    """A row that is to be measured.

    Args:
        contender: What it is about.
        lengths: At which it is measured; fewer than all where the model itself has an end.
    """

    contender: Contender
    lengths: tuple[int, ...]


def plan(
    contenders: Sequence[Contender], pretrained: "Pretrained", question: Question
) -> tuple[list[Planned], dict[str, str]]:
    """Tell what can be measured from what is refused, before anything is.

    Returns:
        Rows to measure, and the reasons of the others by name.
    """
    rows, refusals = [], {}
    for each in contenders:
        reason = each.refuses(pretrained, question.to)
        if reason is None:
            rows.append(Planned(each, question.lengths))
            continue
        refusals[each.name] = reason
        if each.name == UNCHANGED:
            reached = tuple(n for n in question.lengths if each.refuses(pretrained, n) is None)
            if reached:
                rows.append(Planned(each, reached))
    return rows, refusals


class Measurable(NamedTuple):
    """One thing to measure of each row.

    Args:
        name: Of a text or a task.
        tokens: Its cost, in tokens that go through the model.
        measure: Makes the record of a model and its method, at some lengths.
    """

    name: str
    tokens: int
    measure: Callable[[Ready, Sequence[int]], dict[str, Any]]

    @property
    def is_task(self) -> bool:
        """Whether it is about prompts, and not about a text."""
        return self.name in (PASSKEY, ORDER)


def measurements_of(question: Question, texts: Sequence[Evaluated]) -> list[Measurable]:
    """All that is measured of a row: the texts, then the tasks."""
    found = [_of_text(question, text) for text in texts]
    lengths = question.task_lengths
    if question.passkeys:
        n = question.passkeys * len(question.depths)
        found.append(
            Measurable(PASSKEY, n * sum(lengths), lambda r, ns: _passkeys(r, ns, question))
        )
    if question.orders:
        cost = question.orders * sum(lengths)
        found.append(Measurable(ORDER, cost, lambda r, ns: _orders(r, ns, question)))
    return found


def _of_text(question: Question, text: Evaluated) -> Measurable:
    def measure(ready: Ready, lengths: Sequence[int]) -> dict[str, Any]:
        return text_record(ready, text.tokens, lengths, question.last)

    return Measurable(text.name, text.tokens.numel(), measure)


def _passkeys(ready: Ready, lengths: Sequence[int], question: Question) -> dict[str, Any]:
    reached = _reached(lengths, question)
    if not reached:
        return {"found": {}}
    with ready.method.applied(ready.pretrained, lengths[-1]):
        scores = passkey(
            ready.pretrained, reached, question.depths, question.passkeys, question.seed
        )
    return {
        "found": {
            str(length): dict(zip(map(str, scores.depths), shares, strict=True))
            for length, shares in zip(scores.lengths, scores.shares.tolist(), strict=True)
        }
    }


def _orders(ready: Ready, lengths: Sequence[int], question: Question) -> dict[str, Any]:
    reached = _reached(lengths, question)
    if not reached:
        return {"right": {}}
    with ready.method.applied(ready.pretrained, lengths[-1]):
        scores = order_task(ready.pretrained, reached, question.orders, question.seed)
    right = scores.chosen.float().mean(dim=1).tolist()
    return {"right": dict(zip(map(str, scores.lengths), right, strict=True))}


def _reached(lengths: Sequence[int], question: Question) -> list[int]:
    return [n for n in question.task_lengths if n <= lengths[-1]]


def missing(
    rows: Sequence[Planned], measurements: Sequence[Measurable], records: Records
) -> Iterator[tuple[Planned, Measurable]]:
    """What has no record yet: the texts of all rows, then the tasks of all.

    So a study that is stopped early compares its methods on the texts, at least.
    """
    tasks = [each for each in measurements if each.is_task]
    texts = [each for each in measurements if not each.is_task]
    for group in (texts, tasks):
        for row in rows:
            for each in group:
                if records.get(RecordKey(row.contender.name, each.name)) is None:
                    yield row, each


def measure(
    pretrained: "Pretrained", to: int, row: Planned, each: Measurable, records: Records
) -> str | None:
    """Measure one thing and keep it.

    Returns:
        None, or why it could not be: the machine's memory did not suffice, or the model's own code
        does not reach that far, which no config need say. Then nothing is kept, so that a larger
        machine may take the study up.
    """
    try:
        record = each.measure(row.contender.ready(pretrained, to), row.lengths)
    except (MemoryError, torch.OutOfMemoryError):
        return NO_MEMORY
    except (RuntimeError, IndexError) as error:
        told = str(error).lower()
        if any(said in told for said in _NO_MEMORY_SAID):  # the CPU's allocator
            return NO_MEMORY
        if any(said in told for said in _NO_END_SAID):
            return NO_END
        raise
    records.put(RecordKey(row.contender.name, each.name), record)
    return None


def results(
    rows: Sequence[Planned],
    measurements: Sequence[Measurable],
    records: Records,
    question: Question,
) -> StudyResults:
    """What is known by now."""
    known = []
    for planned in rows:
        row = MethodRow(planned.contender.name)
        for each in measurements:
            record = records.get(RecordKey(row.name, each.name))
            if record is not None:
                take_up(row, each.name, record)
        if all(each.is_task or each.name in row.texts for each in measurements):
            known.append(row)  # of fewer texts it would stand beside others' figures of more
    return StudyResults(known, question.trained_length, question.lengths, question.last)
