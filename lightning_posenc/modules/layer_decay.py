"""Learning rates that fall from the head to the inputs."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from lightning_posenc.diagnostics.metric_keys import word_of

FACTOR = "lr_factor"
"""Under which a group of the optimizer keeps its rate over the optimizer's."""


def by_layer(
    groups: Sequence[dict[str, Any]],
    blocks: Sequence[nn.Module],
    inputs: Iterable[nn.Parameter],
    decay: float,
) -> list[dict[str, Any]]:
    """Split parameter groups so that lower blocks learn more slowly.

    Of L blocks, block l (from 0) has the factor decay^(L - l), the inputs decay^(L + 1), and what
    follows the blocks, such as the last norm and the head, 1.

    Source: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification",
    arXiv:1801.06146, section 3.2 (decay 1/2.6); the exponents are those of Bao et al. 2021,
    arXiv:2106.08254, whose inputs count as one more layer. Deviation: positional parameters of an
    `EncoderModule`, which its blocks share, keep `positional_lr_multiplier` alone.

    Args:
        groups: Named, without a rate of their own.
        blocks: From the inputs on.
        inputs: What is learned below the first block.
        decay: In (0, 1]; 1 leaves the groups as they are.

    Returns:
        Groups `decay/inputs`, `decay/layer_03`, …, and those that stay as they were called.
    """
    if decay == 1:
        return list(groups)
    n_layers = len(blocks)
    place = {id(p): ("inputs", n_layers + 1) for p in inputs}
    for layer, block in enumerate(blocks):
        part = (word_of(layer), n_layers - layer)
        place.update((id(p), part) for p in block.parameters())
    split: list[dict[str, Any]] = []
    for group in groups:
        parts: dict[tuple[str, int], list[nn.Parameter]] = {}
        for parameter in group["params"]:
            parts.setdefault(place.get(id(parameter), ("", 0)), []).append(parameter)
        for (where, exponent), params in parts.items():
            name = f"{group['name']}/{where}" if where else group["name"]
            split.append({**group, "name": name, "params": params, FACTOR: decay**exponent})
    return split
