"""What asks a learned table to be smooth."""

from torch import Tensor


def roughness(rows: Tensor) -> Tensor:
    """Mean over neighbouring rows of the squared norm of their difference.

    A mean, so that a longer table is not penalised more. One row has no neighbour: 0.

    Args:
        rows: (…, N, C).

    Returns:
        A scalar, float32.
    """
    steps = rows.float().diff(dim=-2)
    return steps.square().sum(-1).mean() if steps.numel() else steps.sum()
