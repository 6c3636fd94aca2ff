"""Scores against a table of relative vectors, put where their pairs stand."""

from torch import Tensor


def look_up(scores: Tensor, index: Tensor) -> Tensor:
    """Give each pair the score of its own relative vector.

    Args:
        scores: (B|1, H, T, N) of every query, or key, with every vector.
        index: (B|1, T, S) number of each pair's vector.

    Returns:
        (B, H, T, S).
    """
    batch = len(scores) if len(index) == 1 else len(index)
    of_pairs = index.unsqueeze(1).expand(batch, scores.shape[1], -1, -1)
    return scores.expand(batch, -1, -1, -1).gather(-1, of_pairs)
