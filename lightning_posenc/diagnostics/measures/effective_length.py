"""Up to which length does a model do its work?"""

from collections.abc import Mapping

SHARE = 0.9  # of the in-distribution score that counts as doing it
LEARNED = 0.1  # of the way from what is reached without order to 1 that counts as having learned


def effective_length(
    scores: Mapping[int, float], trained: tuple[int, int], share: float = SHARE
) -> tuple[int | None, float | None]:
    """The largest length with at least `share` of the in-distribution score.

    It says nothing of a model that has learned nothing; ask `learned`.

    Args:
        scores: By length, the higher the better, such as accuracies.
        trained: The shortest and the longest length that was trained.
        share: In (0, 1].

    Returns:
        That length (None if there is none), and the score that it had to reach: `share` times the
        mean over the lengths that were trained, or the score at the longest below if none of them
        was tested. None and None if there is no such length either.
    """
    inside = _inside(scores, trained)
    if not inside:
        return None, None
    wanted = share * sum(scores[length] for length in inside) / len(inside)
    reached = [length for length, score in scores.items() if score >= wanted]
    return max(reached, default=None), wanted


def learned(
    accuracy: Mapping[int, float], trained: tuple[int, int], bounds: Mapping[int, float]
) -> bool:
    """Whether a model does more in distribution than can be done without order.

    One that does not has no effective length: it keeps its score at any length, and would beat a
    model that solves its task at the trained lengths only.

    Args:
        accuracy: By length.
        trained: The shortest and the longest length that was trained.
        bounds: Accuracy by length that is reached without order, or by always saying the most
            frequent class.

    Returns:
        Whether the mean over the trained lengths is above that of the bounds by more than a tenth
        of what is left to 1. True where that is not known.
    """
    known = [length for length in _inside(accuracy, trained) if length in bounds]
    if not known:
        return True
    score = sum(accuracy[length] for length in known) / len(known)
    bound = sum(bounds[length] for length in known) / len(known)
    return bound >= 1 or score - bound > LEARNED * (1 - bound)


def _inside(scores: Mapping[int, float], trained: tuple[int, int]) -> list[int]:
    """The lengths in distribution; if none was tested, the longest below."""
    low, high = trained
    inside = [length for length in scores if low <= length <= high]
    below = [length for length in scores if length < low]
    return inside or ([max(below)] if below else [])
