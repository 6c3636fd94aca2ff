"""What keys beyond the trained length would take of attention."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc.diagnostics import observe
from lightning_posenc.diagnostics.measures.keys_beyond import beyond_by_layer, keys_beyond
from lightning_posenc.dims import Dims
from lightning_posenc.masks import Window
from lightning_posenc.model import Attention, Encoder
from lightning_posenc.positional import ALiBi, Chain, LearnedRoPE, MRoPE, PRoPE, RoPE, RoPER, XPos
from lightning_posenc.positional.rotary.scaling import YaRN

T = 24


def seen_of(positional: Any, x: Tensor, moved: int = 0, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    dims = Dims(32, 4, 2, causal=kwargs.pop("causal", True))
    encoder = Encoder(dims, positional, **kwargs).eval()
    with torch.no_grad():
        for p in encoder.parameters():
            p *= 3  # so that attention has preferences
        places = torch.arange(moved, moved + x.shape[1])[None].expand(len(x), -1)
        with observe(encoder) as seen:
            encoder(x, positions=places)
    return seen


@pytest.mark.parametrize(
    "positional",
    [RoPE, partial(RoPE, layout="interleaved", base=10.0), PRoPE, RoPER,
     partial(RoPE, scaling=YaRN(4.0, 16))],
    ids=["half", "interleaved", "part", "values", "yarn"],
)  # fmt: skip
@pytest.mark.parametrize("causal", [True, False])
def test_it_is_what_a_pass_further_on_says(positional: Any, causal: bool) -> None:
    """The model itself turns the queries, at positions L further on; loops do the rest."""
    x, grouped = torch.randn(2, T, 32), partial(Attention, n_kv_heads=2)
    now, later = (seen_of(positional, x, c, causal=causal, mixer=grouped) for c in (0, T))
    lengths = torch.tensor([T, T - 5])
    for layer in range(2):
        operands, q_later = now.attention[layer], later.attention[layer].q.double()
        q, k = operands.q.double(), operands.k.double()
        takens, bests = [], []
        for h in range(4):
            shares, best = [], []
            for b in range(2):
                for i in range(T // 2, int(lengths[b])):
                    keys = k[b, h // 2, : i + 1] if causal else k[b, h // 2]
                    near = (operands.scale * keys @ q[b, h, i]).exp()
                    far = (operands.scale * keys @ q_later[b, h, i]).exp()
                    shares.append(float(far.sum() / (near.sum() + far.sum())))
                    best.append(float(near.max() / near.sum()))
            takens.append(sum(shares) / len(shares))
            bests.append(sum(best) / len(best))
        got = keys_beyond(operands, now.planes[layer], lengths)
        assert got is not None
        torch.testing.assert_close(got.taken, torch.tensor(takens), atol=1e-4, rtol=0)
        torch.testing.assert_close(got.best, torch.tensor(bests), atol=1e-4, rtol=0)
        weighted = sum(t * b**2 for t, b in zip(takens, bests, strict=True))
        assert float(got.of_layer) == pytest.approx(weighted / sum(b**2 for b in bests), abs=1e-4)
        assert beyond_by_layer(now, lengths)["turns/taken_beyond"][layer] == got.of_layer


@pytest.mark.parametrize(
    ("positional", "kwargs"),
    [
        (Chain.of(RoPE, ALiBi), {}),
        (XPos, {}),
        (RoPE, {"mask": Window(6)}),
    ],
    ids=["bias", "decay", "window"],
)
def test_it_is_silent_where_more_than_a_turn_tells_distance(positional: Any, kwargs: Any) -> None:
    seen = seen_of(positional, torch.randn(2, T, 32), **kwargs)
    assert keys_beyond(seen.attention[0], seen.planes[0]) is None
    assert not beyond_by_layer(seen, None)


def test_it_is_silent_where_a_learned_plane_turns_backwards() -> None:
    dims = Dims(32, 4, 1, causal=True)
    encoder = Encoder(dims, LearnedRoPE).eval()
    learned: Any = encoder.positional
    for sign, told in ((1, True), (-1, False)):
        with torch.no_grad(), observe(encoder) as seen:
            learned.inv_freq[..., 0] *= sign
            encoder(torch.randn(1, T, 32))
        assert (keys_beyond(seen.attention[0], seen.planes[0]) is not None) is told


def test_a_grid_is_left_out() -> None:
    dims = Dims(48, 4, 1)
    encoder = Encoder(dims, MRoPE).eval()
    with torch.no_grad(), observe(encoder) as seen:
        encoder(torch.randn(1, 6, 48), positions=torch.arange(18).view(1, 6, 3))
    assert not beyond_by_layer(seen, None)


def test_heads_that_do_not_mind_distance_give_half() -> None:
    """Planes so slow that L steps are nothing; a turn that ends just at L brings all back."""
    x = torch.randn(3, T, 32)
    still = seen_of(partial(RoPE, base=1e30), x)
    found = keys_beyond(still.attention[0], still.planes[0])
    assert found is not None
    assert float((found.taken - 0.5).abs().max()) < 0.2  # the first plane turns by 1 a step
    planes = still.planes[0]
    back = planes._replace(inv_freq=torch.full_like(planes.inv_freq, 2 * torch.pi / T))
    found = keys_beyond(still.attention[0], back)
    assert found is not None
    torch.testing.assert_close(found.taken, torch.full((4,), 0.5), atol=1e-4, rtol=0)
