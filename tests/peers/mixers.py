"""Mixers beside others' code, with its weights.

Shapes: B sequences, T tokens, H heads, K channels of a head, D = H·K.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from lightning_posenc import Encoder
from lightning_posenc.masks import Visibility
from lightning_posenc.model import (
    FNet,
    Funnel,
    Mamba2,
    Mixer,
    Nystromformer,
    Plain,
    ReformerAcrossBuckets,
    SpatialReductionAttention,
)
from lightning_posenc.model.mixers import Context
from lightning_posenc.positional import NoPE
from lightning_posenc.positions import Places
from lightning_posenc.positions.places import on_a_grid
from tests.peers.base import POSITIONS, B, Compare, D, H, K, Peer, T, dims

MIXER_PEERS: list[Peer] = []


def mixer_peer(mixer: str, library: str) -> Callable[[Compare], Compare]:
    """Register a comparison, written as a generator of pairs (ours, theirs)."""

    def register(compare: Compare) -> Compare:
        MIXER_PEERS.append(Peer(mixer, library, compare))
        return compare

    return register


def mixed(mixer: Mixer, x: Tensor, places: Places | None = None) -> Tensor:
    """What a mixer makes of tokens without any encoding: (B, T, D)."""
    places = Places(POSITIONS) if places is None else places
    seen = [Visibility(None, x.shape[1], x.shape[1], x.device)]
    return mixer.eval()(x, Context(NoPE(mixer.dims), places, places, None, seen))


def with_weights(mixer: Any, stacked: list[nn.Linear]) -> Any:
    """The mixer with these projections, and none into the stream."""
    parts = [each.weight for each in stacked]
    mixer.qkv.weight = nn.Parameter(torch.cat(parts))
    if stacked[0].bias is not None:
        mixer.qkv.bias = nn.Parameter(torch.cat([each.bias for each in stacked]))
    mixer.out = nn.Identity()
    return mixer


def nystromformers(n_landmarks: int) -> tuple[Tensor, Tensor]:
    from transformers import NystromformerConfig
    from transformers.models.nystromformer import modeling_nystromformer as theirs

    config = NystromformerConfig(
        hidden_size=D,
        num_attention_heads=H,
        num_landmarks=n_landmarks,
        segment_means_seq_len=T,
        conv_kernel_size=5,
    )
    layer = theirs.NystromformerSelfAttention(config).eval()
    # Each matrix's own column sum; its config has a name for that, which it then cannot read.
    layer.init_option = "exact"
    ours = Nystromformer(dims(), 0, n_landmarks=n_landmarks, conv_width=5)
    with_weights(ours, [layer.query, layer.key, layer.value]).conv.weight = layer.conv.weight
    x = torch.randn(B, T, D)
    return mixed(ours, x), layer(x)[0]


@mixer_peer("SpatialReductionAttention", "transformers PvtEfficientSelfAttention")
def spatial_reduction() -> Iterator[tuple[Tensor, Tensor]]:
    from transformers import PvtConfig
    from transformers.models.pvt.modeling_pvt import PvtEfficientSelfAttention

    for ratio, rows, columns in ((2, 4, 6), (3, 3, 9)):
        layer = PvtEfficientSelfAttention(PvtConfig(layer_norm_eps=1e-5), D, H, ratio).eval()
        ours = SpatialReductionAttention(dims(), 0, ratio=ratio)
        with_weights(ours, [layer.query, layer.key, layer.value])
        ours.reduction, ours.norm = layer.sequence_reduction, layer.layer_norm
        x = torch.randn(B, rows * columns, D)
        yield mixed(ours, x, on_a_grid(rows, columns, x.device)), layer(x, rows, columns)[0]


@mixer_peer("Nystromformer", "transformers NystromformerSelfAttention")
def nystromformer() -> Iterator[tuple[Tensor, Tensor]]:
    for n_landmarks in (8, 20, T):
        yield nystromformers(n_landmarks)


@mixer_peer("FNet", "transformers FNetEncoder")
def fnet() -> Iterator[tuple[Tensor, Tensor]]:
    """Two layers: norms after the sums, the transform as the paper has it."""
    from transformers import FNetConfig
    from transformers.models.fnet import modeling_fnet as theirs

    config = FNetConfig(
        hidden_size=D, num_hidden_layers=2, intermediate_size=4 * D, hidden_act="gelu"
    )
    stack: Any = theirs.FNetEncoder(config).eval()
    ours = Encoder(
        dims(n_layers=2),
        mixer=partial(FNet, norm="backward", gain=1.0),
        residual=partial(Plain, pre_norm=False),
        norm=partial(nn.LayerNorm, eps=config.layer_norm_eps),
    ).eval()
    for mine, their in zip(cast(Any, ours.blocks), stack.layer, strict=True):
        mine.norm_attention = their.fourier.output.LayerNorm
        mine.feed_forward.up = their.intermediate.dense
        mine.feed_forward.out = their.output.dense
        mine.norm_feed_forward = their.output.LayerNorm
    x = torch.randn(B, T, D)
    yield ours(x), stack(x).last_hidden_state


@mixer_peer("ReformerAcrossBuckets", "transformers LSHSelfAttention, one round")
def reformer() -> Iterator[tuple[Tensor, Tensor]]:
    """Of several rounds, theirs lets a round's first chunk see the last of the round before."""
    for chunk, n_buckets, seed in ((8, 4, 0), (4, 8, 1), (10, 2, 2)):
        layer = hashing_layer(chunk, n_buckets, seed, causal=False)
        ours = ReformerAcrossBuckets(
            dims(), 0, n_buckets=n_buckets, chunk=chunk, n_rounds=1, bias=False
        )
        with_weights(ours, [layer.query_key, layer.value])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            ours.rotations = torch.randn(H, K, 1, n_buckets // 2).transpose(1, 2)
        x = torch.randn(B, T, D)
        with torch.random.fork_rng():
            yield mixed(ours, x), layer(x).hidden_states


def hashing_layer(chunk: int, n_buckets: int, seed: int, causal: bool) -> Any:
    """Hugging Face's, whose rotations are those of a seed."""
    from transformers import ReformerConfig
    from transformers.models.reformer import modeling_reformer as theirs

    config = ReformerConfig(
        hidden_size=D,
        num_attention_heads=H,
        attention_head_size=K,
        lsh_attn_chunk_length=chunk,
        num_buckets=n_buckets,
        num_hashes=1,
        hash_seed=seed,
        is_decoder=causal,
        lsh_attention_probs_dropout_prob=0.0,
    )
    return theirs.LSHSelfAttention(config, layer_idx=0).eval()


@mixer_peer("Mamba2", "transformers Mamba2Mixer")
def mamba2() -> Iterator[tuple[Tensor, Tensor]]:
    """With one group and with several, in chunks that do not divide T."""
    from transformers import Mamba2Config
    from transformers.models.mamba2 import modeling_mamba2 as theirs

    for n_groups, width in ((1, 4), (4, 2)):
        config = Mamba2Config(
            hidden_size=D,
            num_heads=2 * H,
            head_dim=K,
            state_size=6,
            n_groups=n_groups,
            conv_kernel=width,
            chunk_size=7,
            num_hidden_layers=1,
        )
        layer: Any = theirs.Mamba2Mixer(config, layer_idx=0).eval()
        nn.init.normal_(layer.D)
        nn.init.normal_(layer.norm.weight)
        ours: Any = Mamba2(dims(causal=True), 0, d_state=6, n_groups=n_groups, conv_width=width)
        ours.into.weight, ours.out.weight = layer.in_proj.weight, layer.out_proj.weight
        ours.conv.load_state_dict(layer.conv1d.state_dict())
        ours.log_rate, ours.step_bias, ours.skip = layer.A_log, layer.dt_bias, layer.D
        ours.gain = layer.norm.weight
        x = torch.randn(B, T, D)
        yield mixed(ours, x), layer(x)


@mixer_peer("Funnel", "transformers FunnelModel, pool_q_only=False")
def funnel() -> Iterator[tuple[Tensor, Tensor]]:
    """Three stages and two layers of up-sampled tokens, in lengths that a stride does not divide;
    without an encoding, for theirs is relative, and made 0.
    """
    from transformers import FunnelConfig
    from transformers.models.funnel import modeling_funnel as theirs

    for n_tokens in (T, T - 3):
        config = FunnelConfig(
            vocab_size=8,
            d_model=D,
            n_head=H,
            d_head=K,
            d_inner=4 * D,
            block_sizes=[2, 1, 1],
            num_decoder_layers=2,
            hidden_act="gelu",
            pool_q_only=False,
            separate_cls=False,
            truncate_seq=False,
        )
        model: Any = theirs.FunnelModel(config).eval()
        ours = Encoder(
            dims(n_layers=6),
            residual=partial(Plain, pre_norm=False),
            norm=partial(nn.LayerNorm, eps=config.layer_norm_eps),
            funnel=Funnel(stages=[2, 1, 1]),
        ).eval()
        layers = [layer for stage in model.encoder.blocks for layer in stage]
        for mine, their in zip(
            cast(Any, ours.blocks), [*layers, *model.decoder.layers], strict=True
        ):
            attention = their.attention
            for bias in (attention.q_head.bias, attention.k_head.bias, attention.v_head.bias):
                if bias is not None:
                    nn.init.normal_(bias)
            nn.init.normal_(attention.r_w_bias)
            nn.init.zeros_(attention.r_kernel)  # of positions
            nn.init.zeros_(attention.seg_embed)
            parts = [attention.q_head, attention.k_head, attention.v_head]
            mine.attention.qkv.weight = nn.Parameter(torch.cat([each.weight for each in parts]))
            mine.attention.qkv.bias = nn.Parameter(
                torch.cat([attention.r_w_bias.flatten(), parts[1].bias, parts[2].bias])
            )
            mine.attention.out = attention.post_proj
            mine.norm_attention = attention.layer_norm
            mine.feed_forward.up = their.ffn.linear_1
            mine.feed_forward.out = their.ffn.linear_2
            mine.norm_feed_forward = their.ffn.layer_norm
        x = torch.randn(B, n_tokens, D)
        embedded = model.embeddings(inputs_embeds=x)
        yield ours(embedded), model(inputs_embeds=x).last_hidden_state
