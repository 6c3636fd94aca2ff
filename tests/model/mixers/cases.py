"""Every mixer, and the oracle that it is held to: one line each, read by tests and by tables.

Shapes: B sequences, T tokens, D = d_model.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import (
    Additive,
    Attention,
    DenseSynthesizer,
    FactorizedDenseSynthesizer,
    FactorizedRandomSynthesizer,
    FNet,
    GatedAttention,
    LatentAttention,
    LinearAttention,
    Linformer,
    Mamba2,
    Nystromformer,
    Performer,
    RandomSynthesizer,
    Reformer,
    ReformerAcrossBuckets,
    Retention,
    SpatialReductionAttention,
)
from lightning_posenc.model.mixers import MixerFactory
from lightning_posenc.positional import NoPE, RoPE
from lightning_posenc.positions import Grid
from tests.oracles.mixers import synthesizer
from tests.oracles.mixers.attention import (
    additive,
    attention,
    attention_with_sinks,
    gated_attention,
)
from tests.oracles.mixers.base import Given, Oracle
from tests.oracles.mixers.fnet import fnet
from tests.oracles.mixers.latent_attention import latent_attention
from tests.oracles.mixers.linear_attention import linear_attention
from tests.oracles.mixers.linformer import linformer
from tests.oracles.mixers.mamba2 import mamba2
from tests.oracles.mixers.nystromformer import nystromformer
from tests.oracles.mixers.performer import performer
from tests.oracles.mixers.reformer import across_buckets, reformer
from tests.oracles.mixers.retention import retention
from tests.oracles.mixers.spatial_reduction import spatial_reduction

BOTH, CAUSAL, BIDIRECTIONAL = (False, True), (True,), (False,)


class MixerCase(NamedTuple):
    """A mixer as it is made, its oracle, in which directions they are compared, and on which grid
    its tokens stand, if on any.
    """

    name: str
    make: MixerFactory
    oracle: Oracle
    directions: tuple[bool, ...] = BOTH
    rotary: bool = False
    length: int = 11
    grid: tuple[int, int] | None = None


def error(case: MixerCase, causal: bool) -> float:
    """Largest difference of a layer from its oracle, relative to 1 + the value's size."""
    torch.manual_seed(0)
    dims = Dims(16, 2, 1, causal=causal)
    positions = None if case.grid is None else Grid(case.grid)
    positional = RoPE if case.rotary else NoPE
    of = Encoder(dims, positional, positions, mixer=case.make, init_std=0.4).eval()
    (mixer,), seen = of.mixers, []
    mixer.register_forward_hook(lambda _, args, out: seen.extend((args[0], out)))
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))  # biases and gains too
        of(torch.randn(2, case.length, 16))
    weights = {name: value.double().numpy() for name, value in mixer.state_dict().items()}
    worst = 0.0
    for x, got in zip(*(each.double().numpy() for each in seen), strict=True):
        wanted = case.oracle(Given(x, dims.n_heads, causal, weights, case.rotary))
        worst = max(worst, (np.abs(got - wanted) / (1 + np.abs(wanted))).max())
    return worst


CASES = [
    MixerCase("attention", Attention, attention),
    MixerCase("attention-rotary", Attention, attention, rotary=True),
    MixerCase("attention-sinks", partial(Attention, sinks=True), attention_with_sinks),
    MixerCase("gated_attention", GatedAttention, gated_attention),
    MixerCase("additive", Additive, additive),
    MixerCase("latent_attention", LatentAttention, latent_attention),
    MixerCase(
        "latent_attention-rotary",
        partial(LatentAttention, kv_rank=5, q_rank=6, d_content=3),
        partial(latent_attention, d_content=3),
        CAUSAL,
        rotary=True,
    ),
    MixerCase("linear_attention", LinearAttention, linear_attention),
    MixerCase("linear_attention-rotary", LinearAttention, linear_attention, rotary=True),
    MixerCase("performer", Performer, performer),
    MixerCase("performer-rotary", Performer, performer, CAUSAL, rotary=True),
    MixerCase("retention", Retention, retention, CAUSAL),
    MixerCase("retention-rotary", Retention, retention, CAUSAL, rotary=True),
    MixerCase("mamba2", Mamba2, mamba2, CAUSAL),
    MixerCase(
        "mamba2-grouped",
        partial(Mamba2, d_state=6, n_groups=2, conv_width=3),
        partial(mamba2, n_groups=2),
        CAUSAL,
    ),
    *(
        MixerCase(
            f"linformer-{sharing}",
            partial(Linformer, max_length=16, rank=4, sharing=sharing),
            linformer,
            BIDIRECTIONAL,
            rotary=sharing == "none",
        )
        for sharing in ("none", "heads", "keys_and_values")
    ),
    MixerCase(
        "nystromformer",
        partial(Nystromformer, n_landmarks=4, n_iterations=4, conv_width=3),
        partial(nystromformer, n_landmarks=4, n_iterations=4),
        BIDIRECTIONAL,
    ),
    MixerCase(
        "nystromformer-few_tokens",
        partial(Nystromformer, n_landmarks=16, conv_width=None),
        partial(nystromformer, n_landmarks=16, n_iterations=6),
        BIDIRECTIONAL,
        rotary=True,
    ),
    MixerCase("fnet", partial(FNet, gain=1.0), partial(fnet, norm="ortho"), BIDIRECTIONAL),
    MixerCase(
        "fnet-backward",
        partial(FNet, norm="backward", gain=1.0),
        partial(fnet, norm="backward"),
        BIDIRECTIONAL,
    ),
    MixerCase("dense_synthesizer", partial(DenseSynthesizer, max_length=16), synthesizer.dense),
    MixerCase(
        "factorized_dense_synthesizer",
        partial(FactorizedDenseSynthesizer, max_length=16, factor=3),
        partial(synthesizer.factorized_dense, factor=3),
    ),
    MixerCase("random_synthesizer", partial(RandomSynthesizer, max_length=16), synthesizer.random),
    MixerCase(
        "factorized_random_synthesizer",
        partial(FactorizedRandomSynthesizer, max_length=16, rank=3),
        synthesizer.factorized_random,
    ),
    MixerCase(
        "reformer",
        partial(Reformer, n_buckets=4, chunk=2, n_rounds=3),
        partial(reformer, chunk=2),
        rotary=True,
        length=19,
    ),
    MixerCase("reformer-one_round", partial(Reformer, n_rounds=1), partial(reformer, chunk=32)),
    MixerCase(
        "reformer_across_buckets",
        partial(ReformerAcrossBuckets, n_buckets=4, chunk=4, n_rounds=2),
        partial(across_buckets, chunk=4),
        BIDIRECTIONAL,
        rotary=True,
        length=19,
    ),
    *(
        MixerCase(
            f"spatial_reduction-{ratio[0]}x{ratio[1]}",
            partial(SpatialReductionAttention, ratio=ratio),
            partial(spatial_reduction, grid=(6, 4), ratio=ratio),
            BIDIRECTIONAL,
            length=24,
            grid=(6, 4),
        )
        for ratio in ((2, 2), (3, 1))
    ),
]
