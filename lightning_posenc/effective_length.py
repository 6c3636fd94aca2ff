"""Up to which length does a model do its work?"""

from collections.abc import Mapping

SHARE = 0.9  # of the in-distribution score that counts as doing it


def effective_length(
    scores: Mapping[int, float], trained: tuple[int, int], share: float = SHARE
) -> tuple[int | None, float | None]:
    """The largest length with at least `share` of the in-distribution score.

    Args:
        scores: By length, the higher the better, such as accuracies.
        trained: The shortest and the longest length that was trained.
        share: In (0, 1].

    Returns:
        That length (None if there is none), and the score that it had to reach: `share` times the
        mean over the lengths that were trained, or the score at the longest below if none of them
        was tested. None and None if there is no such length either.
    """
    low, high = trained
    inside = [score for length, score in scores.items() if low <= length <= high]
    below = [length for length in scores if length < low]
    if not inside and not below:
        return None, None
    wanted = share * (sum(inside) / len(inside) if inside else scores[max(below)])
    reached = [length for length, score in scores.items() if score >= wanted]
    return max(reached, default=None), wanted
