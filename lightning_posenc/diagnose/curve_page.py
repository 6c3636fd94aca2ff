"""What the page says of accuracy by where the answer stands."""

from lightning_posenc.diagnose.position_curve import PositionCurve

TITLE = "Where an answer is found"


def rows(found: PositionCurve) -> list[tuple[str, str]]:
    """The curve of each length, from the start of the sequence to its end."""
    said = []
    for length, curve in found.accuracy.items():
        shown = ", ".join("–" if each != each else f"{each:.2f}" for each in curve)
        words = [f"accuracy from start to end {shown}"]
        if (index := found.u_index(length)) == index:
            words.append(f"ends less middle {index:+.2f}")
        if (worst := found.worst(length)) is not None:
            words.append(f"least at depth {worst:.1f}")
        said.append((f"length {length:,}", "; ".join(words)))
    return said
