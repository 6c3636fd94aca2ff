"""The Conformer: its block, against Hugging Face's, and what every model promises."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import (
    MLP,
    Conformer,
    Convolution,
    DeepNorm,
    LayerScale,
    Plain,
    Reversible,
)
from lightning_posenc.positional import RoPE, TransformerXL
from lightning_posenc.testing import whole_models
from lightning_posenc.testing.case import Case
from lightning_posenc.testing.sizes import LENGTH

NARROW = partial(Conformer, convolution=partial(Convolution, kernel_size=5))
PER_TOKEN = partial(Conformer, convolution=partial(Convolution, kernel_size=5, norm=nn.LayerNorm))
MACARON = partial(Conformer, convolution=None)


def case(residual: Any = NARROW) -> Case:
    return Case("conformer", RoPE, wiring={"residual": residual})


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "promise",
    [
        whole_models.shape_and_dtype,
        whole_models.state_dict_round_trip,
        whole_models.pickle_and_deepcopy,
        whole_models.independent_of_the_rest_of_the_batch,
        whole_models.padded_batch_equals_each_sequence_alone,
        whole_models.packed_documents_equal_each_document_alone,
        whole_models.bfloat16_autocast_is_near_float32,
        whole_models.checkpointed_activations_change_nothing,
    ],
)
def test_what_every_model_promises(promise: Any, causal: bool) -> None:
    promise(case(), causal)


@pytest.mark.parametrize("residual", [NARROW, PER_TOKEN, MACARON])
def test_a_causal_one_sees_no_future_and_decodes_from_its_cache(residual: Any) -> None:
    whole_models.future_does_not_reach_the_past(case(residual), True)
    whole_models.reading_with_a_cache_equals_reading_at_once(case(residual), True, (1,) * LENGTH)


@pytest.mark.slow
@pytest.mark.parametrize("residual", [NARROW, PER_TOKEN])
def test_compiled_equals_eager(residual: Any) -> None:
    whole_models.compiled_equals_eager(case(residual), False)


DIMS = Dims(32, 4, 3)


def test_logits_of_wav2vec2_conformer() -> None:
    """Hugging Face's, random weights and running means, with relative positions.

    Its rotary type turns states before they are projected, which is no RoPE.
    """
    theirs = wav2vec2("relative")
    ours = Encoder(
        DIMS,
        TransformerXL,
        feed_forward=partial(MLP, d_ff=48, activation=nn.SiLU),
        residual=partial(Conformer, convolution=partial(Convolution, kernel_size=7)),
    ).eval()
    ours.load_state_dict(renamed(theirs), strict=True)
    x = torch.randn(2, 40, DIMS.d_model)
    expected = theirs.encoder(x).last_hidden_state
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-5)
    head = torch.randn(DIMS.d_model, 11)
    torch.testing.assert_close(ours(x) @ head, expected @ head, rtol=1e-5, atol=1e-4)


def wav2vec2(position_embeddings_type: str) -> Any:
    transformers = pytest.importorskip("transformers")
    config = transformers.Wav2Vec2ConformerConfig(
        hidden_size=DIMS.d_model,
        num_attention_heads=DIMS.n_heads,
        num_hidden_layers=DIMS.n_layers,
        intermediate_size=48,
        hidden_act="swish",
        conv_depthwise_kernel_size=7,
        position_embeddings_type=position_embeddings_type,
        conv_dim=(8,),
        conv_kernel=(3,),
        conv_stride=(2,),
        num_feat_extract_layers=1,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    model = transformers.Wav2Vec2ConformerModel(config).eval()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            drawn = torch.randn_like(tensor)
            tensor.copy_(drawn.abs() + 0.5 if "running_var" in name else 0.2 * drawn)
    return model


BLOCK = {
    "first_feed_forward.up": "ffn1.intermediate_dense",
    "first_feed_forward.out": "ffn1.output_dense",
    "feed_forward.up": "ffn2.intermediate_dense",
    "feed_forward.out": "ffn2.output_dense",
    "norm_first": "ffn1_layer_norm",
    "norm_feed_forward": "ffn2_layer_norm",
    "norm_attention": "self_attn_layer_norm",
    "norm_convolution": "conv_module.layer_norm",
    "norm_last": "final_layer_norm",
    "attention.out": "self_attn.linear_out",
    "convolution.up": "conv_module.pointwise_conv1",
    "convolution.out": "conv_module.pointwise_conv2",
    "convolution.depthwise": "conv_module.depthwise_conv",
    "convolution.norm": "conv_module.batch_norm",
}


def renamed(model: Any) -> dict[str, torch.Tensor]:
    """Their weights by our names."""
    theirs = model.encoder.state_dict()
    found = {f"norm.{kind}": theirs[f"layer_norm.{kind}"] for kind in ("weight", "bias")}
    positional: dict[str, list[torch.Tensor]] = {"projection": [], "u": [], "v": []}
    order = torch.arange(DIMS.d_model).view(-1, 2).t().flatten()  # ours: all sines, then cosines
    for layer in range(DIMS.n_layers):
        for ours, name in BLOCK.items():
            for key, tensor in theirs.items():
                if key.startswith(start := f"layers.{layer}.{name}."):
                    pointwise = "pointwise" in key
                    kind = key.removeprefix(start)
                    found[f"blocks.{layer}.{ours}.{kind}"] = tensor[..., 0] if pointwise else tensor
        of_attention = f"layers.{layer}.self_attn"
        for kind in ("weight", "bias"):
            parts = [theirs[f"{of_attention}.linear_{name}.{kind}"] for name in "qkv"]
            found[f"blocks.{layer}.attention.qkv.{kind}"] = torch.cat(parts)
        heads = theirs[f"{of_attention}.linear_pos.weight"].unflatten(0, (DIMS.n_heads, -1))
        positional["projection"].append(heads[..., order])
        positional["u"].append(theirs[f"{of_attention}.pos_bias_u"])
        positional["v"].append(theirs[f"{of_attention}.pos_bias_v"])
    return found | {f"positional.{name}": torch.stack(each) for name, each in positional.items()}


def test_means_of_a_norm_in_training_are_of_real_frames() -> None:
    """Those of padding would depend on how long the other sequences are."""
    encoder = Encoder(DIMS, residual=NARROW).train()
    x, lengths = torch.randn(2, 9, DIMS.d_model), torch.tensor([9, 4])
    noise = torch.where(torch.arange(9)[:, None] < lengths[:, None, None], x, 100.0)
    first, second = (encoder(each, lengths=lengths) for each in (x, noise))
    torch.testing.assert_close(first[0], second[0])
    torch.testing.assert_close(first[1, :4], second[1, :4])
    convolution = encoder.blocks[0].convolution
    seen: list[torch.Tensor] = []
    convolution.norm.register_forward_hook(lambda _, args, out: seen.append(args[0]))
    encoder(x, lengths=lengths)
    assert seen[0].shape == (13, DIMS.d_model)


def test_the_two_feed_forwards_start_apart() -> None:
    block = Encoder(DIMS, residual=NARROW).blocks[0]
    assert not torch.equal(block.first_feed_forward.up.weight, block.feed_forward.up.weight)
    scale = block.convolution.out.weight.std() / block.convolution.up.weight.std()
    assert 0.3 < scale * (2 * DIMS.n_layers) ** 0.5 < 1.2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"residual": DeepNorm}, "Conformer: residual=DeepNorm: "),
        ({"residual": Reversible}, "Conformer: residual=Reversible: "),
        ({"residual": partial(Plain, parallel=True)}, "Conformer: residual="),
        ({"convolution": partial(Convolution, kernel_size=4)},
         "Convolution: kernel_size=4 must be odd"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_it(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        Encoder(DIMS, residual=partial(Conformer, **options))


def test_other_residuals_that_norm_first_do() -> None:
    encoder = Encoder(DIMS, residual=partial(NARROW, residual=LayerScale))
    assert encoder(torch.randn(1, 5, DIMS.d_model)).isfinite().all()
