"""Colours that people with any colour vision tell apart."""

# "Accessible Color Sequences for Data Visualization", Petroff (2021), arXiv:2107.02270.
TEN = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip


def colour(i: int) -> str:
    """Give the i-th colour, from the first again after ten."""
    return TEN[i % len(TEN)]
