"""What the page says of near and far keys."""

from statistics import mean

from lightning_posenc.diagnose.locality import Locality

TITLE = "Near and far keys (0.5: chance)"


def rows(found: dict[int, Locality]) -> list[tuple[str, str]]:
    """Of each length, by layer: means over heads."""
    return [
        (
            f"length {length:,}",
            f"a nearer key has the larger logit in {_layers(each.near)} of pairs, and the order of "
            f"two keys is the same elsewhere in {_layers(each.kept)}, by layer",
        )
        for length, each in found.items()
    ]


def _layers(shares: list[list[float]]) -> str:
    return ", ".join(f"{mean(heads):.2f}" for heads in shares)
