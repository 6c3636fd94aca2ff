"""What planes bring to the logits, against plain loops; and which of them finish no turn."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims
from lightning_posenc.callbacks import Watch
from lightning_posenc.diagnostics import observe
from lightning_posenc.diagnostics.measures.rotary_bands import band_use
from lightning_posenc.diagnostics.measures.unfinished_turns import new_angles, turns_by_layer
from lightning_posenc.diagnostics.observing.rotary_planes import RotaryPlanes, planes_of
from lightning_posenc.model import Encoder
from lightning_posenc.positional import (
    AxialRoPE,
    Chain,
    FoPE,
    LearnedRoPE,
    NoPE,
    PartialRoPE,
    PerLayer,
    RoPE,
    T5Bias,
)
from lightning_posenc.positional.by_distance import written_out
from lightning_posenc.positions import Places
from lightning_posenc.positions.places import behind_class_tokens, on_a_grid
from tests.diagnose.test_doctor import subject
from tests.diagnostics.naive import B, H, K, S, T, naive_attention, random_view

LENGTHS = (9, 6, 4)
LAYOUTS: tuple[Any, ...] = ("half", "interleaved")


def planes(layout: Any, n: int = 2, extent: int = S) -> RotaryPlanes:
    return RotaryPlanes(layout, torch.tensor([[1.0, 0.01][:n]]), torch.tensor(extent))


def channels(layout: str, n: int) -> list[list[int]]:
    if layout == "half":
        return [[i, i + n] for i in range(n)]
    return [[2 * i, 2 * i + 1] for i in range(n)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("kind", "lengths"),
    [
        ({"biased": False, "mask": "none"}, ()),
        ({"mask": "padding"}, LENGTHS),
        ({"mask": "tensor"}, ()),
        ({"mask": "causal", "biased": False}, ()),
    ],
)
def test_planes_against_loops(layout: Any, kind: dict[str, Any], lengths: Any) -> None:
    """K = 5 channels are two planes and one that does not turn; 4 heads share 2 of keys."""
    view, n = random_view(**kind), 2
    _, _, visible = naive_attention(view, lengths)
    q, k = view.q.double().numpy(), view.k.double().numpy()
    pairs = [*channels(layout, n), [K - 1]]
    norms: list[list[list[float]]] = [[[] for _ in range(n)] for _ in range(H)]
    parts: list[list[list[float]]] = [[[] for _ in range(n + 2)] for _ in range(H)]
    for b, h, i in np.ndindex(B, H, T):
        seen = np.flatnonzero(visible[b, h, i])
        if (lengths and S - T + i >= lengths[b]) or not len(seen):
            continue
        keys = k[b, h // 2][seen]
        for part, where in enumerate(pairs):
            parts[h][part].append(float(np.var(view.scale * keys[:, where] @ q[b, h, i, where])))
            if part < n:
                size = np.linalg.norm(keys[:, where], axis=1).mean()
                norms[h][part].append(view.scale * size * np.linalg.norm(q[b, h, i, where]))
        added = 0.0
        if view.bias is not None:
            added = float(np.var(written_out(view.bias)[0, h, i].double().numpy()[seen]))
        parts[h][n + 1].append(added)
    variances = np.array([[np.mean(part) for part in head] for head in parts])
    expected = variances / variances.sum(axis=1, keepdims=True)
    got = band_use(view, planes(layout), torch.tensor(lengths) if lengths else None)
    bounds = np.array([[np.mean(part) for part in head] for head in norms])
    np.testing.assert_allclose(got.norms, bounds, rtol=1e-4)
    np.testing.assert_allclose(got.shares, expected[:, :n], atol=1e-5)
    np.testing.assert_allclose(got.rest, expected[:, n:].sum(axis=1), atol=1e-5)


def test_few_queries_stand_for_all() -> None:
    encoder = Encoder(Dims(32, 2, 1, causal=True), Chain.of(RoPE, T5Bias)).eval()
    with torch.no_grad(), observe(encoder) as seen:
        encoder(torch.randn(4, 200, 32))
    of = seen.planes[0]
    few, every = (band_use(seen.attention[0], of, most=most) for most in (64, 200))
    torch.testing.assert_close(few.shares, every.shares, atol=0.02, rtol=0)
    assert not torch.equal(few.shares, every.shares)
    torch.testing.assert_close(every.shares.sum(dim=-1) + every.rest, torch.ones(2))


def places(n: int = 40) -> Places:
    return Places(torch.arange(n)[None], 0, n - 1)


@pytest.mark.parametrize(
    ("make", "n", "unfinished"),
    [
        (RoPE, 4, 3),  # 6, 63, 628, 6283
        (partial(RoPE, base=2.0), 4, 0),
        (partial(RoPE, base=2.0, layout="interleaved"), 4, 0),
        (partial(PartialRoPE, fraction=0.5), 2, 1),
        (partial(LearnedRoPE, per_head=True), 4, 3),
        (partial(FoPE, trained_length=40), 4, 0),  # those do not turn
        (Chain.of(T5Bias, RoPE), 4, 3),
    ],
)
def test_planes_of_encodings(make: Any, n: int, unfinished: int) -> None:
    dims = Dims(32, 4, 2, causal=True)
    found = planes_of(make(dims), 1, places())
    assert found is not None
    assert found.n_planes == n
    assert int(found.extent) == 40
    assert found.unfinished.sum(dim=-1).tolist() == [unfinished] * len(found.inv_freq)


def test_planes_where_there_are_none_or_others() -> None:
    dims = Dims(32, 4, 2)
    assert planes_of(NoPE(dims), 0, places()) is None
    mixed = PerLayer(dims, [NoPE, RoPE])
    assert planes_of(mixed, 0, places()) is None
    assert planes_of(mixed, 1, places()) is not None


def test_extent_is_what_was_seen() -> None:
    """Of packed documents the longest; of a grid the longer side, class tokens left out."""
    documents = torch.tensor([[0] * 10 + [1] * 25 + [2] * 5])
    dims = Dims(32, 4, 1)
    within = torch.cat([torch.arange(n) for n in (10, 25, 5)])[None]
    for values in (torch.arange(40)[None], within):
        found = planes_of(RoPE(dims), 0, Places(values, documents=documents))
        assert found is not None
        assert int(found.extent) == 25
    grid = on_a_grid(3, 5, torch.device("cpu"))
    for each in (grid, behind_class_tokens(grid, 1)):
        found = planes_of(AxialRoPE(dims), 0, each)
        assert found is not None
        assert int(found.extent) == 5


def test_new_angles() -> None:
    """A plane that turns often adds none; one just short of a turn nearly a whole one."""
    shares = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    of = RotaryPlanes("half", torch.tensor([[1.0, 2 * math.pi / 100]]), torch.tensor(90))
    often, short = new_angles(shares, of).tolist()
    assert often == 0
    assert short == pytest.approx(0.11)  # of 89 steps of 100, and then the rest of the turn
    half = of._replace(extent=torch.tensor(51))
    assert new_angles(shares, half)[1].item() == pytest.approx(0.5)


def planted(base: float) -> Tensor:
    """Keys and queries that live in the slowest plane alone: it decides all logits."""
    encoder = Encoder(Dims(32, 4, 1, causal=True), partial(RoPE, base=base)).eval()
    weight = encoder.blocks[0].attention.qkv.weight  # type: ignore[union-attr]
    with torch.no_grad():
        heads = weight[:64].view(8, 8, 32)
        heads[:, [0, 1, 2, 4, 5, 6]] *= 1e-3
        with observe(encoder) as seen:
            encoder(torch.randn(2, 40, 32))
        return turns_by_layer(seen, None)["turns/unfinished"][0]


def test_a_planted_slow_plane_is_found_and_one_that_turns_is_not() -> None:
    assert planted(1e4).min() > 0.9
    assert planted(1.5).max() == 0


def test_turns_are_watched_and_refused_where_nothing_turns() -> None:
    someone = subject(RoPE)
    watch = Watch(["unfinished_turns"])
    with torch.no_grad():
        found = watch.measure(someone.module, someone.batch, 0)
    assert list(found) == [f"turns/unfinished/layer_{n:02d}" for n in range(2)]
    assert all(0 < float(value) < 1 for value in found.values())
    with pytest.raises(ValueError, match="planes of a rotation"):
        watch.measure(subject(NoPE).module, someone.batch, 0)
