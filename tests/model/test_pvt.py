"""Stages that differ in more than their sizes, and PVT made of them."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.data import Batch
from lightning_posenc.model import (
    MLP,
    Attention,
    EncoderSpec,
    Funnel,
    PatchConvolution,
    Patches,
    ShiftedWindows,
    SpatialReductionAttention,
    Stage,
)
from lightning_posenc.modules import ImageClassifier
from lightning_posenc.positional import LearnedGrid
from lightning_posenc.positions import Grid, Places
from lightning_posenc.positions.places import OUTSIDE, behind_class_tokens, on_a_grid, raster

CPU = torch.device("cpu")


def test_a_grid_is_told_or_read_off() -> None:
    for n in (0, 2):
        told = behind_class_tokens(on_a_grid(3, 4, CPU), n)
        assert raster(told) == raster(Places(told.values)) == (n, 3, 4)
    diagonal = torch.arange(4)[None, :, None].expand(1, 4, 2)
    others = [
        on_a_grid(3, 4, CPU).values[:, :11],
        on_a_grid(3, 4, CPU).values.flip(1),
        diagonal,
        torch.full((1, 2, 2), OUTSIDE),
        torch.arange(6)[None],
    ]
    assert [raster(Places(each)) for each in others] == [None] * len(others)


def test_a_patch_reads_its_tokens_and_every_token_reads_the_patches() -> None:
    mixer = partial(SpatialReductionAttention, ratio=(2, 1))
    model = Encoder(Dims(16, 2, 1), positions=Grid((4, 3)), mixer=mixer, init_std=0.2)
    x = torch.randn(2, 12, 16)
    expected = model(x, positions=on_a_grid(4, 3, CPU))
    assert torch.equal(model(x), expected)
    assert torch.equal(model(x, positions=on_a_grid(4, 3, CPU).values), expected)


def reduced(**wiring: Any) -> Encoder:
    return Encoder(Dims(16, 2, 3), mixer=SpatialReductionAttention, **wiring)


def pyramid(**last: Any) -> ImageClassifier:
    inputs = partial(Patches, patch_size=4, n_class_tokens=0)
    spec = EncoderSpec(16, 2, 1, stages=[Stage(1, **last), Stage(1)])
    return ImageClassifier(spec, None, 5, inputs=inputs, positional=LearnedGrid, pooling="mean")


def test_what_goes_with_no_patches_is_refused_in_one_line() -> None:
    x, grid = torch.randn(1, 12, 16), on_a_grid(4, 3, CPU)
    images = Batch(torch.randn(1, 3, 24, 24), torch.zeros(1).long())
    squares = partial(PatchConvolution, size=4)
    leading = partial(PatchConvolution, n_class_tokens=1)
    cases: list[tuple[Any, str]] = [
        (lambda: reduced()(x), "SpatialReductionAttention: wants the tokens of a grid and no oth"),
        (lambda: reduced()(x, positions=grid), r"a grid of 4 x 3 tokens is not .* ratio=\[2, 2\]"),
        (lambda: reduced()(x, torch.tensor([9]), positions=grid), "does not serve padded"),
        (
            lambda: reduced(funnel=Funnel([1, 1]))(x, positions=on_a_grid(2, 6, CPU)),
            "SpatialReductionAttention: wants the tokens of a grid",
        ),
        (
            lambda: reduced()(x[:, :5], positions=behind_class_tokens(on_a_grid(2, 2, CPU), 1)),
            "n_class_tokens=0",
        ),
        (lambda: reduced(mask=ShiftedWindows(2)), "does not serve a mask"),
        (lambda: pyramid(merging=squares)(images), "6 x 6 tokens is not made .* size=4"),
        (lambda: pyramid(merging=leading)(images), "let the last stage alone have n_class_tokens"),
        (lambda: pyramid(merging=Attention), "Stage: merging"),
        (lambda: pyramid(mixer=LearnedGrid), "mixer"),
    ]
    for call, said in cases:
        with pytest.raises(ValueError, match=said) as caught:
            call()
        assert "\n" not in str(caught.value)


SIDES = (16, 8, 4)
RATIOS = (4, 2, 1)
WIDTHS = (16, 24, 32)
HEADS = (2, 3, 4)
DEPTHS = (1, 2, 1)
FACTORS = (4, 3, 2)


def stage(number: int) -> dict[str, Any]:
    side, ratio = SIDES[number], RATIOS[number]
    reduced = partial(SpatialReductionAttention, ratio=ratio)
    return {
        "mixer": Attention if ratio == 1 else reduced,
        "feed_forward": partial(MLP, d_ff=FACTORS[number] * WIDTHS[number]),
        "positional": partial(LearnedGrid, height=side, width=side),
    }


def pvt() -> ImageClassifier:
    first = stage(0)
    positional = first.pop("positional")
    last = partial(PatchConvolution, n_class_tokens=1)
    mergings = [None, PatchConvolution, last]
    stages = [
        Stage(DEPTHS[n], WIDTHS[n], HEADS[n], merging=mergings[n], **stage(n)) for n in (1, 2)
    ]
    spec = EncoderSpec(WIDTHS[0], HEADS[0], DEPTHS[0], stages=stages, **first)
    inputs = partial(Patches, patch_size=4, n_class_tokens=0, norm=True)
    return ImageClassifier(spec, None, 5, inputs=inputs, positional=positional)


def test_every_stage_is_as_it_says_and_learns() -> None:
    model = pvt().train()
    kinds = [type(block.attention).__name__ for block in model.encoder.all_blocks]
    assert kinds == ["SpatialReductionAttention"] * 3 + ["Attention"]
    tables = [each.shape for name, each in model.named_parameters() if "table" in name]
    assert tables == [(side, side, d) for side, d in zip(SIDES, WIDTHS, strict=True)]
    model(Batch(torch.randn(2, 3, 64, 64), torch.zeros(2).long())).square().sum().backward()
    lacking = [
        name for name, each in model.named_parameters() if each.numel() and each.grad is None
    ]
    assert lacking == []


def test_logits_are_those_of_pvt() -> None:
    """transformers' PvtForImageClassification, weights mapped by name."""
    transformers = pytest.importorskip("transformers")
    config = transformers.PvtConfig(
        image_size=64, num_encoder_blocks=3, depths=DEPTHS, sequence_reduction_ratios=RATIOS,
        hidden_sizes=WIDTHS, patch_sizes=[4, 2, 2], strides=[4, 2, 2], num_attention_heads=HEADS,
        mlp_ratios=FACTORS, num_labels=5, layer_norm_eps=1e-5,
    )  # fmt: skip
    theirs = transformers.PvtForImageClassification(config).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.2)
    ours = pvt().eval()
    ours.load_state_dict(pvt_weights(theirs.state_dict(), ours))
    images = torch.randn(3, 3, 64, 64)
    expected = theirs(pixel_values=images).logits
    found = ours(Batch(images, torch.zeros(3).long()))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def pvt_weights(state: dict[str, Tensor], ours: ImageClassifier) -> dict[str, Tensor]:
    """Theirs, by the names of ours."""
    layer_parts = {
        "attention.out": "attention.output.dense",
        "attention.reduction": "attention.self.sequence_reduction",
        "attention.norm": "attention.self.layer_norm",
        "feed_forward.up": "mlp.dense1",
        "feed_forward.out": "mlp.dense2",
        "norm_attention": "layer_norm_1",
        "norm_feed_forward": "layer_norm_2",
    }
    pairs = {"encoder.following.1.norm": "pvt.encoder.layer_norm", "head": "classifier"}
    made: dict[str, Tensor] = {
        "embedding.class_tokens": ours.embedding.class_tokens.detach(),
        "encoder.merging.0.class_tokens": torch.empty(0, WIDTHS[1]),
    }
    places = [("embedding", "encoder"), *((f"encoder.merging.{n}", f"encoder.following.{n}")
              for n in (0, 1))]  # fmt: skip
    for number, (merging, stage) in enumerate(places):
        patches = f"pvt.encoder.patch_embeddings.{number}"
        pairs |= {f"{merging}.project": f"{patches}.projection"}
        pairs |= {f"{merging}.norm": f"{patches}.layer_norm"}
        (table,) = state[f"{patches}.position_embeddings"]
        if f"{patches}.cls_token" in state:  # what stands outside the grid has no vector of it
            made[f"{merging}.class_tokens"] = state[f"{patches}.cls_token"][0] + table[:1]
            table = table[1:]
        side = SIDES[number]
        made[f"{stage}.positional.table"] = table.unflatten(0, (side, side))
        for layer in range(DEPTHS[number]):
            of_theirs = f"pvt.encoder.block.{number}.{layer}"
            of_ours = f"{stage}.blocks.{layer}"
            pairs |= {f"{of_ours}.{a}": f"{of_theirs}.{b}" for a, b in layer_parts.items()}
            for kind in ("weight", "bias"):
                three = [
                    state[f"{of_theirs}.attention.self.{each}.{kind}"]
                    for each in ("query", "key", "value")
                ]
                made[f"{of_ours}.attention.qkv.{kind}"] = torch.cat(three)
    for of_ours, of_theirs in pairs.items():
        for kind in ("weight", "bias"):
            if f"{of_theirs}.{kind}" in state:
                made[f"{of_ours}.{kind}"] = state[f"{of_theirs}.{kind}"]
    return made
