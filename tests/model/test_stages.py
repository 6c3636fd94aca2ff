"""Windows that are shifted, stages of ever fewer tokens, and Swin made of both."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.data import Batch
from lightning_posenc.model import (
    Attention,
    EncoderSpec,
    LinearAttention,
    Nystromformer,
    Patches,
    PatchMerging,
    ShiftedWindows,
    Stage,
    StagedEncoder,
)
from lightning_posenc.model.windows import partition
from lightning_posenc.modules import ImageClassifier
from lightning_posenc.positional import AxialRoPE, SwinBias
from lightning_posenc.positions import Grid
from lightning_posenc.positions.places import on_a_grid

CPU = torch.device("cpu")
DIMS = Dims(16, 2, 1)


def windowed(n_layers: int = 2, size: int = 2, **wiring: Any) -> Encoder:
    torch.manual_seed(0)
    windows = ShiftedWindows(size)
    dims = Dims(16, 2, n_layers)
    return Encoder(dims, AxialRoPE, mask=windows, **{"init_std": 0.2, **wiring}).eval()


def reached(model: Encoder, rows: int, columns: int) -> Tensor:
    """Which tokens (T, T) each token's output depends on."""
    x = torch.randn(1, rows * columns, 16, requires_grad=True)
    y = model(x, positions=on_a_grid(rows, columns, CPU))
    sums = (y[0] * torch.randn(16)).sum(dim=-1)  # a plain one is what the last norm takes away
    grads = [torch.autograd.grad(each, x, retain_graph=True)[0] for each in sums]
    return torch.stack([grad[0].abs().sum(dim=-1) > 1e-9 for grad in grads])


def test_a_token_sees_its_window_and_then_the_shifted_one() -> None:
    """Neighbours share a window of the second layer; opposite edges never do."""
    first = reached(windowed(1), 4, 6)
    cell = torch.cartesian_prod(torch.arange(4), torch.arange(6))
    together = (cell // 2)[:, None] == (cell // 2)[None]
    assert torch.equal(first, together.all(dim=-1))
    seen = ((cell + 1) // 2)[:, None] == ((cell + 1) // 2)[None]
    both = (seen.all(dim=-1).float() @ together.all(dim=-1).float()) > 0
    assert torch.equal(reached(windowed(2), 4, 6), both)


def test_windows_hold_every_token_once() -> None:
    cut = partition(4, 6, 2, 1, CPU)
    assert cut.tokens.flatten().sort().values.tolist() == list(range(24))
    assert cut.tokens[0].tolist() == [7, 8, 13, 14]
    assert cut.regions is not None
    assert cut.tokens[-1].tolist() == [23, 18, 5, 0]
    assert len(set(cut.regions[-1].tolist())) == 4


def test_a_grid_no_larger_than_a_window_is_one() -> None:
    """The model is then the plain one."""
    x, places = torch.randn(2, 9, 16), on_a_grid(3, 3, CPU)
    plain = windowed(size=7)
    plain.windows = None
    torch.testing.assert_close(windowed(size=7)(x, positions=places), plain(x, positions=places))


def test_merging_puts_four_side_by_side() -> None:
    merging = PatchMerging(2, 3)
    x = torch.randn(2, 15, 2)
    merged, places = merging(x, on_a_grid(3, 5, CPU))
    assert places.grid == (2, 3)
    assert merged.shape == (2, 6, 3)
    corner = torch.cat([x[:, 14], torch.zeros(2, 6)], dim=-1)
    torch.testing.assert_close(merged[:, 5], merging.reduction(merging.norm(corner)))
    four = torch.cat([x[:, 0], x[:, 5], x[:, 1], x[:, 6]], dim=-1)
    torch.testing.assert_close(merged[:, 0], merging.reduction(merging.norm(four)))


def test_what_does_not_go_together_is_refused() -> None:
    x, grid = torch.randn(1, 16, 16), on_a_grid(4, 4, CPU)
    cases: list[tuple[Any, str]] = [
        (
            lambda: Encoder(DIMS, mask=ShiftedWindows())(x),
            "ShiftedWindows: wants the tokens of ",
        ),
        (lambda: windowed(size=3)(x, positions=grid), "a grid of 4 x 4 tokens is not made of whol"),
        (lambda: windowed()(x, torch.tensor([9]), positions=grid), "neither padding nor packed"),
        (lambda: Encoder(Dims(16, 2, 1, True), mask=ShiftedWindows()), "have no past"),
        (lambda: windowed(mixer=LinearAttention), "LinearAttention: does not serve a mask"),
        (
            lambda: windowed(mixer=[Attention, Nystromformer]),
            "former: does not serve a mask",
        ),
        (lambda: StagedEncoder(Dims(16, 2, 1, True)), "StagedEncoder: a merged token is of what"),
        (lambda: StagedEncoder(DIMS)(x), "StagedEncoder: wants the tokens of a grid"),
        (lambda: StagedEncoder(DIMS, stages=[Stage(1, 17)]), "d_model=17 must be a mul"),
    ]
    for call, said in cases:
        with pytest.raises(ValueError, match=said) as caught:
            call()
        assert "\n" not in str(caught.value)


def swin(depths: tuple[int, ...] = (2, 2), window: int = 4, **options: Any) -> ImageClassifier:
    first, *others = depths
    spec = EncoderSpec(
        16, 2, first, stages=[Stage(n) for n in others], mask=ShiftedWindows(window),
        norm=partial(nn.LayerNorm, eps=1e-5), **options,
    )  # fmt: skip
    return ImageClassifier(
        spec, None, 5, pooling="mean",
        inputs=partial(Patches, patch_size=2, n_class_tokens=0, norm=True),
        positional=partial(SwinBias, height=window, width=window),
    ).eval()  # fmt: skip


def test_all_stages_are_trained_as_their_kind() -> None:
    model = swin((1, 1, 1))
    assert len(model.blocks) == 3
    groups = {group["name"]: group for group in model.parameter_groups() if "name" in group}
    tables = [parameter for name, parameter in model.named_parameters() if "table" in name]
    assert [each.shape[1] for each in tables] == [2, 4, 8]
    assert {id(each) for each in groups["positional"]["params"]} == set(map(id, tables))
    model(Batch(torch.randn(2, 3, 32, 32), torch.zeros(2).long())).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_logits_are_those_of_swin() -> None:
    """transformers' SwinForImageClassification, weights mapped by name."""
    transformers = pytest.importorskip("transformers")
    config = transformers.SwinConfig(
        image_size=32, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4,
        mlp_ratio=4.0, num_labels=5, drop_path_rate=0.0,
    )  # fmt: skip
    theirs = transformers.SwinForImageClassification(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.2)
    ours = swin()
    ours.load_state_dict(swin_weights(theirs.state_dict(), ours))
    images = torch.randn(3, 3, 32, 32)
    expected = theirs(pixel_values=images).logits
    found = ours(Batch(images, torch.zeros(3).long()))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def swin_weights(state: dict[str, Tensor], ours: ImageClassifier) -> dict[str, Tensor]:
    """Theirs, by the names of ours."""
    layer_parts = {
        "attention.out": "attention.o_proj",
        "feed_forward.up": "mlp.fc1",
        "feed_forward.out": "mlp.fc2",
        "norm_attention": "layernorm_before",
        "norm_feed_forward": "layernorm_after",
    }
    pairs = {
        "embedding.project": "swin.embeddings.patch_embeddings.projection",
        "embedding.norm": "swin.embeddings.norm",
        "encoder.following.0.norm": "swin.layernorm",
        "encoder.merging.0.norm": "swin.encoder.layers.0.downsample.norm",
        "encoder.merging.0.reduction": "swin.encoder.layers.0.downsample.reduction",
        "head": "classifier",
    }
    made: dict[str, Tensor] = {"embedding.class_tokens": ours.embedding.class_tokens.detach()}
    for number, stage in enumerate(("encoder", "encoder.following.0")):
        tables = []
        for layer in range(2):
            of_theirs = f"swin.encoder.layers.{number}.blocks.{layer}"
            of_ours = f"{stage}.blocks.{layer}"
            pairs |= {f"{of_ours}.{a}": f"{of_theirs}.{b}" for a, b in layer_parts.items()}
            for kind in ("weight", "bias"):
                three = [state[f"{of_theirs}.attention.{each}_proj.{kind}"] for each in "qkv"]
                made[f"{of_ours}.attention.qkv.{kind}"] = torch.cat(three)
            name = f"{of_theirs}.attention.relative_position_bias.relative_position_bias_table"
            tables.append(state[name].t().unflatten(1, (7, 7)))
        made[f"{stage}.positional.table"] = torch.stack(tables)
    for of_ours, of_theirs in pairs.items():
        for kind in ("weight", "bias"):
            if f"{of_theirs}.{kind}" in state:
                made[f"{of_ours}.{kind}"] = state[f"{of_theirs}.{kind}"]
    return made


def test_the_positions_grid_tell_their_grid() -> None:
    x, windows = torch.randn(2, 16, 16), ShiftedWindows(2)
    model = Encoder(DIMS, AxialRoPE, Grid((-1, 4)), mask=windows).eval()
    torch.testing.assert_close(model(x), model(x, positions=on_a_grid(4, 4, CPU)))
