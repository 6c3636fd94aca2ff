"""Groups for optimizers of the Muon family: one rule for hidden matrices, AdamW for all else."""

from collections.abc import Sequence
from typing import Any

from torch import nn

FLAG = "use_muon"
"""Under which a group says by which of two rules it learns, as such optimizers read it."""


def hidden_matrices_apart(
    groups: Sequence[dict[str, Any]], blocks: Sequence[nn.Module]
) -> list[dict[str, Any]]:
    """Split parameter groups into the matrices of the blocks, and what is none or lies outside.

    Embeddings, heads, gains, biases and an encoding's own parameters learn as with AdamW. Source:
    Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
    https://kellerjordan.github.io/posts/muon/, whose name for the mark is taken over. Deviation:
    projections that are stacked in one matrix (queries, keys and values; experts) are
    orthogonalised as that one.

    Args:
        groups: Named.
        blocks: The repeated blocks of a model.

    Returns:
        Groups that are marked: "hidden" is, and the others, with what is left of them, are not.
    """
    hidden = {id(p) for block in blocks for p in block.parameters() if p.dim() == 2}
    split: list[dict[str, Any]] = []
    for group in groups:
        for name, of_muon in (("hidden", True), (group["name"], False)):
            params = [p for p in group["params"] if (id(p) in hidden) == of_muon]
            if params:
                split.append({**group, "name": name, "params": params, FLAG: of_muon})
    return split
