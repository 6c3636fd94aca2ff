"""Tables of other sizes, and checkpoints that hold them."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ViTConfig
from transformers.models.vit.modeling_vit import ViTEmbeddings

from lightning_posenc import Dims, Encoder
from lightning_posenc.positional import (
    TUPE,
    Chain,
    Concatenated,
    Factory,
    LearnedAbsolute,
    LearnedGrid,
)
from lightning_posenc.positional.resampling import resampled, resampled_grid, tiled

sizes = st.integers(1, 12)


@given(sizes, sizes)
def test_linear_equals_numpy_with_aligned_ends(n_rows: int, length: int) -> None:
    table = torch.randn(n_rows, 3)
    places = np.linspace(0, n_rows - 1, length)
    expected = [np.interp(places, range(n_rows), column) for column in table.t().double().numpy()]
    np.testing.assert_allclose(resampled(table, length), np.stack(expected, axis=1), atol=1e-6)


@given(sizes, sizes)
def test_linear_keeps_the_ends_and_a_straight_line(n_rows: int, length: int) -> None:
    table = torch.arange(n_rows).float().unsqueeze(1) * torch.tensor([1.0, -2.0])
    made = resampled(table, length)
    assert made.shape == (length, 2)
    assert torch.equal(made[0], table[0])
    if length > 1:
        assert torch.equal(made[-1], table[-1])
        torch.testing.assert_close(made.diff(dim=0), made.diff(dim=0)[:1].expand(length - 1, 2))


@given(sizes, sizes)
def test_the_same_size_is_the_same_table(height: int, width: int) -> None:
    grid = torch.randn(height, width, 3)
    assert torch.equal(resampled(grid[:, 0], height), grid[:, 0])
    torch.testing.assert_close(resampled_grid(grid, height, width), grid)


@pytest.mark.parametrize("size", [(9, 9), (12, 4), (3, 3), (6, 7)])
def test_bicubic_equals_the_vit_of_transformers(size: tuple[int, int]) -> None:
    """Which takes 6 x 6 patches of 4 pixels here."""
    height, width = size
    theirs = ViTEmbeddings(ViTConfig(hidden_size=8, image_size=24, patch_size=4))
    theirs.position_embeddings.data.normal_()
    grid = theirs.position_embeddings.data[0, 1:].unflatten(0, (6, 6))
    patches = torch.empty(1, height * width + 1, 8)
    expected = theirs.interpolate_pos_encoding(patches, 4 * height, 4 * width)
    torch.testing.assert_close(resampled_grid(grid, height, width).flatten(0, 1), expected[0, 1:])


def cubic(distance: float) -> float:
    """Keys 1981, equation 4, with a = -0.75."""
    a, x = -0.75, abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def test_bicubic_equals_plain_loops() -> None:
    """Half-pixel centres; beyond the edge the outermost row goes on."""
    grid = np.random.default_rng(0).normal(size=(3, 4, 2))
    height, width = 5, 7
    expected = np.zeros((height, width, 2))
    for r, c in np.ndindex(height, width):
        row, column = (r + 0.5) * 3 / height - 0.5, (c + 0.5) * 4 / width - 0.5
        for i, j in np.ndindex(9, 10):
            weight = cubic(row - (i - 3)) * cubic(column - (j - 3))
            expected[r, c] += weight * grid[min(max(i - 3, 0), 2), min(max(j - 3, 0), 3)]
    made = resampled_grid(torch.from_numpy(grid).float(), height, width)
    np.testing.assert_allclose(made, expected, atol=1e-5)


@given(st.integers(2, 12), st.integers(2, 12))
def test_cubic_in_one_dimension_equals_plain_loops(n_rows: int, length: int) -> None:
    """Aligned ends; beyond them the outermost row goes on."""
    table = np.random.default_rng(0).normal(size=(n_rows, 2))
    expected = np.zeros((length, 2))
    for r in range(length):
        place = r * (n_rows - 1) / (length - 1)
        for i in range(-2, n_rows + 2):
            expected[r] += cubic(place - i) * table[min(max(i, 0), n_rows - 1)]
    made = resampled(torch.from_numpy(table), length, "cubic")
    np.testing.assert_allclose(made, expected, atol=1e-12)


def test_antialias_averages_what_is_left_out() -> None:
    """Rows of alternating sign cancel, where without it some of them are left."""
    table = torch.tensor([1.0, -1.0]).repeat(32).unsqueeze(1)
    for curve in ("linear", "cubic"):
        assert resampled(table, 9, curve).abs().max() > 0.9
        assert resampled(table, 9, curve, antialias=True)[1:-1].abs().max() < 0.1
    grid = table.unsqueeze(1).expand(-1, 64, 1)
    assert resampled_grid(grid, 9, 9).abs().max() > 0.4
    assert resampled_grid(grid, 9, 9, antialias=True).abs().max() < 0.1


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(4, 3), (9, 12)])
def test_a_loaded_grid_is_torchs_image(size: tuple[int, int], antialias: bool) -> None:
    """Of 8 x 6 places, by torch's `interpolate`, blurred before or not."""
    dims = Dims(8, 2, 1)
    trained = LearnedGrid(dims, 8, 6)
    of_size = LearnedGrid(dims, *size, antialias=antialias)
    of_size.load_state_dict(trained.state_dict())
    image = trained.table.detach().permute(2, 0, 1)[None]
    expected = F.interpolate(image, size, mode="bicubic", antialias=antialias)
    torch.testing.assert_close(of_size.table.detach().permute(2, 0, 1)[None], expected)


@given(sizes, sizes, sizes, sizes)
def test_tiles_return_after_the_table(n_rows: int, n_columns: int, height: int, width: int) -> None:
    grid = torch.randn(n_rows, n_columns, 2)
    made = tiled(grid, height, width)
    assert made.shape == (height, width, 2)
    for r, c in np.ndindex(height, width):
        assert torch.equal(made[r, c], grid[r % n_rows, c % n_columns])
    assert torch.equal(tiled(grid[:, 0], height), made[:, 0])


def test_dtype_stays_and_half_precision_is_not_computed_in() -> None:
    grid = torch.randn(4, 4, 2).bfloat16()
    assert resampled(grid[0], 7).dtype == resampled_grid(grid, 7, 7).dtype == torch.bfloat16
    assert torch.equal(resampled(grid[0], 7), resampled(grid[0].float(), 7).bfloat16())


def model(positional: Factory, d_model: int = 8) -> Encoder:
    return Encoder(Dims(d_model, 2, 1), positional)


def absolute(length: int) -> Factory:
    return partial(LearnedAbsolute, max_length=length)


def grid(height: int, width: int) -> Factory:
    return partial(LearnedGrid, height=height, width=width)


@pytest.mark.parametrize(
    ("was", "now", "name", "expected", "line"),
    [
        (
            absolute(6),
            absolute(11),
            "table",
            partial(resampled, length=11),
            "LearnedAbsolute: positional.table resampled from 6 to 11 rows",
        ),
        (
            grid(4, 6),
            grid(8, 3),
            "table",
            partial(resampled_grid, height=8, width=3),
            "LearnedGrid: positional.table resampled from 4 x 6 to 8 x 3 rows",
        ),
        (
            partial(Concatenated, encoding=absolute(6)),
            partial(Concatenated, encoding=absolute(3)),
            "encoding.table",
            partial(resampled, length=3),
            "LearnedAbsolute: positional.encoding.table resampled from 6 to 3 rows",
        ),
        (
            Chain.of(absolute(6)),
            Chain.of(absolute(9)),
            "parts.0.table",
            partial(resampled, length=9),
            "LearnedAbsolute: positional.parts.0.table resampled from 6 to 9 rows",
        ),
    ],
    ids=["absolute", "grid", "concatenated", "chain"],
)
def test_a_checkpoint_of_another_size_is_resampled(
    was: Factory,
    now: Factory,
    name: str,
    expected: nn.Module,
    line: str,
    logged: list[logging.LogRecord],
) -> None:
    trained, longer = model(was), model(now)
    state = trained.state_dict()
    before = {key: value.clone() for key, value in state.items()}
    longer.load_state_dict(state)
    table = longer.positional.get_parameter(name)
    torch.testing.assert_close(table, expected(trained.positional.get_parameter(name)))
    (record,) = logged
    assert record.name == "lightning_posenc"
    assert record.getMessage().startswith(f"{line}: stretched")
    assert "resize=extend" in record.getMessage()
    assert all(torch.equal(state[key], before[key]) for key in before)  # the caller's own is left
    for key, value in longer.state_dict().items():
        assert key == f"positional.{name}" or torch.equal(value, before[key])


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (absolute(6), partial(absolute(11), resize="extend")),
        (absolute(6), partial(absolute(4), resize="extend")),
        (grid(4, 6), partial(grid(8, 3), resize="extend")),
        (partial(TUPE, max_length=6), partial(TUPE, max_length=9, resize="extend")),
    ],
)
def test_an_extended_table_keeps_every_row_in_its_place(
    was: Factory, now: Factory, logged: list[logging.LogRecord]
) -> None:
    """F-G: rows beyond are as they began; the model at the trained length is the same."""
    trained, longer = model(was), model(now)
    (name,) = (name for name, _ in trained.named_parameters() if name.endswith("table"))
    table, fresh = trained.get_parameter(name), longer.get_parameter(name).clone()
    longer.load_state_dict(trained.state_dict())
    made = longer.get_parameter(name)
    common = tuple(slice(min(sizes)) for sizes in zip(table.shape, fresh.shape, strict=True))
    assert torch.equal(made[common], table[common])
    untouched = torch.ones(fresh.shape, dtype=torch.bool)
    untouched[common] = False
    assert torch.equal(made[untouched], fresh[untouched])
    assert "extended from" in logged[0].getMessage()


def test_moments_of_a_resampled_table_stay_in_their_range() -> None:
    """F1: a bicubic overshoot would make a mean of squares negative, its root NaN."""
    positional = LearnedGrid(Dims(8, 2, 1), 9, 9)
    squares = torch.zeros(3, 3, 8)
    squares[1, 1] = 1.0
    assert resampled_grid(squares, 9, 9).amin() < 0
    moments = positional.resized_moments(squares)
    assert moments.shape == positional.table.shape
    assert moments.amin() >= 0


def test_the_same_size_says_nothing(logged: list[logging.LogRecord]) -> None:
    for positional in (absolute(6), grid(4, 6)):
        model(positional).load_state_dict(model(positional).state_dict())
    assert not logged


@pytest.mark.parametrize(
    ("was", "now"),
    [(absolute(6), absolute(6)), (absolute(6), absolute(7)), (grid(2, 3), grid(3, 3))],
)
def test_another_width_is_an_error(was: Factory, now: Factory) -> None:
    tables = {
        name: value
        for name, value in model(was, d_model=16).state_dict().items()
        if name.startswith("positional")
    }
    with pytest.raises(RuntimeError, match=r"size mismatch for positional\.table"):
        model(now).load_state_dict(tables, strict=False)


@pytest.mark.parametrize(("was", "now"), [(absolute(9), grid(3, 3)), (grid(3, 3), absolute(9))])
def test_a_table_of_the_other_kind_is_an_error(was: Factory, now: Factory) -> None:
    with pytest.raises(RuntimeError, match=r"size mismatch for positional\.table"):
        model(now).load_state_dict(model(was).state_dict())


def test_a_missing_table_is_an_error() -> None:
    state = model(absolute(6)).state_dict()
    del state["positional.table"]
    with pytest.raises(RuntimeError, match=r"Missing key.*positional\.table"):
        model(absolute(6)).load_state_dict(state)


def test_a_longer_model_sees_the_trained_one_at_the_ends() -> None:
    """Position t of 11 is position t / 2 of 6."""
    trained, longer = model(absolute(6)), model(absolute(11))
    longer.load_state_dict(trained.state_dict())
    x = torch.randn(2, 6, 8)
    at: Tensor = torch.arange(6).unsqueeze(0)
    torch.testing.assert_close(longer(x, positions=2 * at), trained(x, positions=at))
    odd = F.embedding(2 * at[:, :-1] + 1, longer.positional.get_parameter("table"))
    between = trained.positional.embed(torch.zeros(1, 5, 8), at[:, :-1] + 0.5, 0)
    torch.testing.assert_close(odd, between)
