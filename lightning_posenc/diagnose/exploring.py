"""Attention and position of a model at several lengths, as plain numbers for a page to explore.

Shapes: B sequences, H heads, T queries, S keys.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.loading import of_length
from lightning_posenc.diagnose.long_pass import FEW
from lightning_posenc.diagnose.opening import Opened
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.diagnostics.measures.measure import logged, measured
from lightning_posenc.diagnostics.metric_keys import parse
from lightning_posenc.diagnostics.observing.observe import Observation, observe
from lightning_posenc.diagnostics.quantities import MEASUREMENTS, QUANTITIES
from lightning_posenc.model.kernels import attention_weights

MOST_LENGTHS = 4
MOST_LAYERS = 12
MOST_HEADS = 8
MOST_CELLS = 96  # on a side of a map
MOST_DISTANCE = 32
N_SEQUENCES = 16
DEPTH = ("probe/mae", "pos_share", "rank/residual", "attn/normalised_entropy")


@torch.no_grad()
def explore(opened: Opened, lengths: Sequence[int] | None = None) -> dict[str, Any]:
    """Measure what the page shows.

    Of more layers or heads than MOST_LAYERS and MOST_HEADS some are left out, at equal distances; a
    map of more than MOST_CELLS tokens on a side has cells of several tokens.

    Args:
        opened: A checkpoint.
        lengths: Test lengths; None for at most MOST_LENGTHS of those that the data tests.

    Raises:
        ValueError: If no length can be shown: the model refuses it, or makes no attention weights.
    """
    own, data = opened.own, opened.data
    asked = sorted(set(lengths or data.eval_lengths))
    asked = _spread(asked, MOST_LENGTHS) if lengths is None else asked
    shown, refused = [], {}
    for length in asked:
        batches = of_length(data, length)
        if not batches:
            refused[length] = "the data has no such sequences"
            continue
        try:
            shown.append(_at(own, data, batches[0].first(N_SEQUENCES), length))
        except ValueError as error:  # a table that is too short
            refused[length] = " ".join(str(error).split())
    if not shown:
        why = "; ".join(f"length {length}: {said}" for length, said in refused.items())
        raise ValueError(f"--explore {own.name}: there is no attention to be shown: {why}")
    return {
        "name": "/".join(Path(own.name).absolute().parts[-2:]),
        "encoding": type(own.module.positional).__name__,
        "steps": own.steps,
        "causal": own.encoder.dims.causal,
        "reads": own.writes,
        "axis": str(getattr(data, "length_axis", "length")),
        "lengths": shown,
        "refused": refused,
        "titles": {name: QUANTITIES[name].described for name in DEPTH},
        "depth_axis": {name: QUANTITIES[name].depth for name in DEPTH},
    }


def _at(own: OwnModel, data: Any, batch: Batch, length: int) -> dict[str, Any]:
    """What is seen at one length.

    Raises:
        ValueError: If the model refuses it, or makes no attention weights.
    """
    with torch.random.fork_rng(devices=()), observe(own.observed) as seen:
        torch.manual_seed(0)
        own.outputs(batch)
    if not seen.attention:
        raise ValueError("its mixers make no attention weights")
    n_tokens = own.token_lengths(batch)
    maps, distances = {}, {}
    first = attention_weights(seen.attention[0])
    queries, keys = first.shape[-2:]
    real = min(queries, int(n_tokens[0])) if n_tokens is not None else queries
    heads = _spread(range(first.shape[1]), MOST_HEADS)
    places = _spread(range(len(seen.attention)), MOST_LAYERS)
    each = -(-max(real, keys if keys != queries else real) // MOST_CELLS)
    for place in places:
        weights = attention_weights(seen.attention[place]).float().cpu()[:, heads]
        one = weights[0, :, :real, : real if keys == queries else keys]
        maps[str(seen.layers[place])] = _packed(_pooled(one, each))
        if keys == queries:
            distances[str(seen.layers[place])] = _by_distance(weights, n_tokens)
    return {
        "length": length,
        "tokens": _words(own, data, batch, real),
        "rows": -(-real // each),
        "columns": -(-(real if keys == queries else keys) // each),
        "each": each,
        "layers": [seen.layers[place] for place in places],
        "n_layers": len(own.encoder.blocks),
        "heads": list(heads),
        "n_heads": first.shape[1],
        "maps": maps,
        "distances": distances,
        "most_distance": min(MOST_DISTANCE, queries - 1),
        "depth": _depth(own, seen, batch, n_tokens),
    }


def _spread(numbers: Sequence[int], most: int) -> list[int]:
    """At most so many of them, from the first to the last, at equal distances."""
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[round(i * (len(numbers) - 1) / max(most - 1, 1))] for i in range(most)]


def _pooled(maps: Tensor, each: int) -> Tensor:
    """(H, T, S) with cells of so many tokens: means over queries of sums over keys."""
    if each == 1:
        return maps
    rows, columns = (-(-n // each) * each for n in maps.shape[1:])
    whole = pad(maps, (0, columns - maps.shape[2], 0, rows - maps.shape[1]))
    made = avg_pool2d(whole[None], each)[0] * each  # keys' weights add up
    last = maps.shape[1] - (rows - each)  # queries of the last row of cells
    made[:, -1] *= each / last
    return made


def _packed(maps: Tensor) -> str:
    """Square roots of weights in 255 steps, so that small ones are told apart: base64."""
    steps = (maps.clamp(0, 1).sqrt() * 255).round().to(torch.uint8)
    return base64.b64encode(steps.contiguous().numpy().tobytes()).decode()


def _by_distance(weights: Tensor, lengths: Tensor | None) -> list[list[float | None]]:
    """By head, the mean weight of the key at each distance: that of query minus key, ascending.

    Args:
        weights: (B, H, T, T).
        lengths: (B,) tokens; None if all are full.
    """
    n = weights.shape[-1]
    most = min(MOST_DISTANCE, n - 1)
    real = torch.ones(len(weights), n, dtype=torch.bool)
    if lengths is not None:
        real = torch.arange(n) < lengths.cpu()[:, None]
    pairs = (real[:, :, None] & real[:, None, :]).float()
    found = []
    for distance in range(-most, most + 1):
        counted = pairs.diagonal(-distance, 1, 2)  # (B, n - |distance|)
        given = weights.diagonal(-distance, 2, 3) * counted[:, None]
        total = float(counted.sum())
        means = given.sum(dim=(0, 2)) / total if total else None
        found.append([None] * weights.shape[1] if means is None else means.tolist())
    return [
        [None if x is None else float(f"{x:.4g}") for x in head]
        for head in zip(*found, strict=True)
    ]


def _depth(
    own: OwnModel, seen: Observation, batch: Batch, lengths: Tensor | None
) -> dict[str, dict[str, float]]:
    """What is measured by depth: by quantity and layer, means over heads."""
    found: dict[str, dict[int, list[float]]] = {}
    for each in MEASUREMENTS:
        wanted = [row.name for row in each.quantities if row.name in DEPTH]
        few = each.compares_sequences and len(batch.tokens) < FEW
        if not wanted or few or not getattr(seen, each.sees):
            continue
        for key, value in logged(measured(each, seen, lengths)).items():
            of = parse(key)
            if of.name in wanted and of.layer is not None:
                found.setdefault(of.name, {}).setdefault(of.layer, []).append(float(value))
    return {name: _means(layers) for name, layers in found.items()}


def _means(layers: Mapping[int, list[float]]) -> dict[str, float]:
    return {str(k): float(f"{sum(v) / len(v):.4g}") for k, v in sorted(layers.items())}


def _words(own: OwnModel, data: Any, batch: Batch, n: int) -> list[str]:
    """The tokens of the first sequence: as the data spells them, else their ids, else places."""
    if own.vocab_size is None or batch.tokens.shape[1] < n:
        return [str(i) for i in range(n)]
    ids = batch.tokens[0, :n].tolist()
    decode = getattr(data, "decode", None)
    if decode is None:
        return [str(i) for i in ids]
    return [str(decode([i])) or str(i) for i in ids]
