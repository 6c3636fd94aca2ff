"""How does the score change with length, and is there a length that the model refuses?"""

from typing import NamedTuple

from lightning_posenc.catalogue.described import longest
from lightning_posenc.diagnose.scores import answers, score
from lightning_posenc.diagnose.subject import OtherModel, OwnModel, Subject


class ScoresByLength(NamedTuple):
    """Scores by length, in the data's unit.

    Args:
        trained: Longest length of training, or of what was examined.
        limit: Most tokens that the model serves, or rows and columns of a grid; None for any
            number.
        bound: Best accuracy without order at the trained length; None if nobody knows.
        accuracy: Share of scored targets that are right, by length; without those lengths at which
            none is scored.
        refused: Lengths that the model refused.
        asked: Lengths that the data is configured to test.
        tokens: Tokens of a sequence of each length.
    """

    trained: int
    limit: int | None
    bound: float | None
    accuracy: dict[int, float]
    refused: tuple[int, ...]
    asked: tuple[int, ...]
    tokens: dict[int, int]


def measure_lengths(subject: Subject) -> ScoresByLength:
    """Score the subject at every length that its batches have."""
    if isinstance(subject, OtherModel):
        return ScoresByLength(subject.length, subject.limit, None, {}, (), (), {})
    assert isinstance(subject, OwnModel)
    accuracy: dict[int, float] = {}
    refused: list[int] = []
    batches = {subject.trained_length: list(subject.batches), **subject.others}
    for length, of_length in sorted(batches.items()):
        try:
            found = score(answers(subject.module, of_length))
        except ValueError:
            refused.append(length)
            continue
        if found is not None:
            accuracy[length] = found.accuracy
    return ScoresByLength(
        subject.trained_length,
        longest(subject.module.positional),
        subject.bound,
        accuracy,
        tuple(refused),
        subject.asked,
        {T: max(map(subject.n_tokens, found)) for T, found in batches.items()},
    )
