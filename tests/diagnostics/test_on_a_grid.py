"""What is measured of tokens on a grid: rows and columns, and distances as the crow flies."""

import pytest
import torch

from lightning_posenc.diagnostics import observe, summarise
from lightning_posenc.diagnostics.measures.probe import probe_by_depth
from lightning_posenc.dims import Dims
from lightning_posenc.model import Encoder, ShiftedWindows
from lightning_posenc.model.kernels import attention_weights
from lightning_posenc.positional import NoPE
from lightning_posenc.positions.places import OUTSIDE, on_a_grid


def test_rows_and_columns_are_read_apart() -> None:
    """Of states that know their row alone; class tokens, of another kind, are left out."""
    places = on_a_grid(4, 6, torch.device("cpu"))
    cells = torch.cat([places.values.new_full((1, 1, 2), OUTSIDE), places.values], dim=1)
    model = Encoder(Dims(8, 2, 1), NoPE)
    x = torch.randn(16, 25, 8)
    x[..., 0] = cells[..., 0]
    x[:, 0] = 100 * torch.randn(16, 8)
    with torch.no_grad(), observe(model) as seen:
        model(x, positions=cells)
    found = probe_by_depth(seen, None)
    assert float(found["probe/row"][0]) < 0.02
    assert float(found["probe/column"][0]) == pytest.approx(6 / 4, abs=0.1)  # chance
    assert found["probe/mae"][0] == (found["probe/row"][0] + found["probe/column"][0]) / 2


def test_distance_and_offsets_in_cells() -> None:
    """Against a double loop, and the offset's share of attention that is a function of it."""
    places = on_a_grid(3, 4, torch.device("cpu"))
    model = Encoder(Dims(8, 2, 1), NoPE, init_std=1.0)
    with torch.no_grad(), observe(model) as seen:
        model(torch.randn(2, 12, 8), positions=places)
    (view,) = seen.attention
    cells, weights = places.values[0], attention_weights(view).double()
    apart = torch.tensor([[((a - b) ** 2).sum().item() ** 0.5 for b in cells] for a in cells])
    found = summarise(view, cells=cells, block=5)
    expected = (weights * apart).sum(dim=-1).mean(dim=(0, 2)).float()
    torch.testing.assert_close(found.distance, expected, atol=1e-5, rtol=1e-5)
    assert found.offset_share.max() < 1
    by_offset = torch.randn(7, 9)
    delta = cells[:, None] - cells
    bias = by_offset[delta[..., 0] + 3, delta[..., 1] + 4].expand(1, 1, -1, -1)
    flat = view._replace(q=torch.zeros_like(view.q), bias=bias)
    assert summarise(flat, cells=cells).offset_share.min() > summarise(flat).offset_share.max()


def test_windows_are_put_back() -> None:
    """What is seen between blocks of windows is the stream of the whole grid, in its order."""
    places = on_a_grid(4, 4, torch.device("cpu"))
    model = Encoder(Dims(8, 2, 2), NoPE, mask=ShiftedWindows(2), norm=torch.nn.Identity)
    x = torch.randn(3, 16, 8)
    with torch.no_grad(), observe(model) as seen:
        out = model(x, positions=places)
    assert [each.shape for each in seen.hidden] == [(3, 16, 8)] * 3
    assert torch.equal(seen.hidden[0], x)
    assert torch.equal(seen.hidden[2], out)
    assert (seen.windows, len(seen.attention[0].q)) == (4, 12)
    assert len(seen.first(2).attention[0].q) == 8
