"""Encodings that add a function of distance, of positions or in a graph, to the logits."""

# ruff: noqa: E501 (one line a case)

from functools import partial

import torch
from torch import Tensor

from lightning_posenc.positional import (
    BAM,
    FIRE,
    TUPE,
    Chain,
    DynamicBias,
    GraphDistanceBias,
    KERPLELog,
    KERPLEPower,
    LaplacianPE,
    RandomWalkPE,
    Sandwich,
    SSMax,
    WaveletBias,
)
from tests.cases.base import Case
from tests.oracles import compose, distance, temperature


def on_a_path(positions: Tensor) -> Tensor:
    """Distances (B|1, T, T) on the graph 0 - 1 - 2 - …, of which the tokens are some nodes."""
    return (positions.unsqueeze(2) - positions.unsqueeze(1)).abs()


def on_two_paths(positions: Tensor) -> Tensor:
    """The same on the graph 0 - 2 - 4 - … and 1 - 3 - 5 - …: no path from an even node to an odd."""
    edges = on_a_path(positions.floor().long())
    return torch.where(edges % 2 == 0, edges // 2, -1)


# fmt: off
CASES: tuple[Case, ...] = (
    Case("bam", partial(BAM, mu=0.5), partial(distance.bam, mu=0.5)),
    Case("bam-symmetric", partial(BAM, mu=0.0, shared=False), distance.bam, order_aware_bidirectional=False),
    Case("bam-learned-mu", partial(BAM, mu=-0.5, learned_mu=True), distance.bam),
    Case("chain-bam-ssmax", Chain.of(partial(BAM, mu=0.5), SSMax), compose.chain(partial(distance.bam, mu=0.5), temperature.ssmax), shift_invariant=None),
    Case("kerple-log", KERPLELog, distance.kerple_log),
    Case("kerple-log-symmetric", partial(KERPLELog, form="symmetric", shared=False), distance.kerple_log, order_aware_bidirectional=False),
    Case("kerple-log-two-sided", partial(KERPLELog, form="two_sided", shared=False), distance.kerple_log),
    Case("kerple-power", KERPLEPower, distance.kerple_power),
    Case("kerple-power-symmetric", partial(KERPLEPower, form="symmetric", shared=False), distance.kerple_power, order_aware_bidirectional=False),
    Case("kerple-power-two-sided", partial(KERPLEPower, form="two_sided", shared=False), distance.kerple_power),
    Case("sandwich", Sandwich, distance.sandwich),
    Case("sandwich-symmetric", partial(Sandwich, width=8, base=100.0, form="symmetric"), partial(distance.sandwich, width=8, base=100.0, form="symmetric"), order_aware_bidirectional=False),
    Case("sandwich-two-sided", partial(Sandwich, width=8, form="two_sided"), partial(distance.sandwich, width=8, form="two_sided")),
    Case("dynamic-bias", DynamicBias, distance.dynamic_bias),
    Case("dynamic-bias-log", partial(DynamicBias, width=6, depth=1, log_distance=True, shared=False), partial(distance.dynamic_bias, log_distance=True)),
    Case("dynamic-bias-norm", partial(DynamicBias, width=6, depth=2, norm=True), distance.dynamic_bias),
    Case("fire", partial(FIRE, threshold=4.0), partial(distance.fire, threshold=4.0), shift_invariant=False),
    Case("fire-shared", partial(FIRE, threshold=4.0, shared=True), partial(distance.fire, threshold=4.0), shift_invariant=False),
    Case("tupe", partial(TUPE, max_length=32), distance.tupe, shift_invariant=False, limit=32),
    Case("tupe-relative", partial(TUPE, max_length=32, relative=True, n_buckets=8, max_distance=16), partial(distance.tupe, n_buckets=8, max_distance=16), shift_invariant=False, limit=32),
    Case("tupe-untied-first", partial(TUPE, max_length=32, relative=True, untie_first=True, n_buckets=8, max_distance=16), partial(distance.tupe, n_buckets=8, max_distance=16, untie_first=True), shift_invariant=False, limit=32),
    Case("wavelet", WaveletBias, partial(distance.wavelet, n_scales=2), content_dependent=True),
    Case("wavelet-4-scales", partial(WaveletBias, n_scales=4), partial(distance.wavelet, n_scales=4), content_dependent=True),
    Case("random-walk", partial(RandomWalkPE, n_steps=6), partial(distance.random_walk, n_steps=6), order_aware_bidirectional=None, differentiable=False, place=on_a_path),
    Case("laplacian", partial(LaplacianPE, n_vectors=6), partial(distance.laplacian, n_vectors=6), order_aware_bidirectional=True, differentiable=False, place=on_a_path),
    Case("graph-distance", partial(GraphDistanceBias, max_distance=4), partial(distance.graph_distance, max_distance=4), order_aware_bidirectional=False, differentiable=False, place=on_a_path),
    Case("graph-distance-per-layer", partial(GraphDistanceBias, max_distance=2, shared=False), partial(distance.graph_distance, max_distance=2), order_aware_bidirectional=False, differentiable=False, place=on_two_paths),
)
# fmt: on
