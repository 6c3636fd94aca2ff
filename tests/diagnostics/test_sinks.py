"""The first key's value and logit, and the largest activation, against plain loops."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_posenc.diagnostics import summarise
from lightning_posenc.diagnostics.measures.massive import massive_activation
from lightning_posenc.diagnostics.measures.sinks import first_key
from lightning_posenc.masks import Causal
from tests.diagnostics.naive import B, H, S, T, naive_attention, random_view
from tests.helpers import operands

LENGTHS = (9, 6, 4)


@pytest.mark.parametrize(
    ("kind", "lengths"),
    [
        ({"biased": False, "mask": "none"}, ()),
        ({"mask": "padding"}, LENGTHS),
        ({"mask": "tensor"}, ()),
        ({"mask": "padding", "rescored": True}, LENGTHS),
    ],
)
def test_the_first_key_against_loops(kind: dict[str, Any], lengths: Any) -> None:
    view = random_view(**kind)
    _, logits, visible = naive_attention(view, lengths)
    sizes = np.linalg.norm(view.v.double().numpy(), axis=-1)
    got = first_key(view, torch.tensor(lengths) if lengths else None)
    for h in range(H):
        above, values = [], []
        for b in range(B):
            n = lengths[b] if lengths else S
            of = np.sort(sizes[b, h // 2, :n])
            values.append(sizes[b, h // 2, 0] / of[(n - 1) // 2])  # the lower one of two
            for i in range(T):
                seen = visible[b, h, i]
                if S - T + i < n and seen[0] and seen.sum() > 1:
                    above.append(logits[b, h, i, 0] - logits[b, h, i][seen].mean())
        assert got.value[h] == pytest.approx(np.mean(values), rel=1e-5)
        assert got.logit[h] == pytest.approx(np.mean(above), rel=1e-3, abs=1e-5)


def test_a_planted_sink_is_weighed_and_carries_nothing() -> None:
    q, k, v = torch.randn(3, 2, 2, 100, 8)
    q = q + 2
    k[:, :, 0], v[:, :, 0] = 3.0, 1e-3
    view = operands(q, k, v, visible=Causal())
    few, every = first_key(view), first_key(view, most=100)
    assert summarise(view).sink.min() > 0.9
    assert every.value.max() < 0.01
    assert every.logit.min() > 5
    torch.testing.assert_close(few.logit, every.logit, rtol=0.1, atol=0)


@pytest.mark.parametrize("padded", [False, True])
def test_the_largest_activation_is_found(padded: bool) -> None:
    x = torch.randn(3, 9, 6)
    x[1, 4, 2] = -5e3
    x[2, 8, 5] = 9e3
    lengths = torch.tensor([9, 6, 4]) if padded else None
    got = massive_activation(x, lengths)
    where = (1, 4, 2) if padded else (2, 8, 5)
    assert tuple(map(int, (got.sequence, got.position, got.channel))) == where
    real = [
        abs(float(v)) for b in range(3) for v in x[b, : (9, 6, 4)[b] if padded else 9].flatten()
    ]
    assert got.ratio == pytest.approx(max(real) / sorted(real)[(len(real) - 1) // 2])
    assert got.largest == max(real)


def test_a_median_of_some_is_that_of_all() -> None:
    x = torch.randn(8, 512, 64) * torch.linspace(0.1, 3, 64)

    def exact(x: Tensor) -> float:
        return float(x.abs().max() / x.abs().median())

    assert massive_activation(x).ratio == pytest.approx(exact(x), rel=0.03)
