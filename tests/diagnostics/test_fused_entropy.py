"""Entropy by the fused kernel equals entropy by definition, and says no where it would not."""

from typing import Any

import numpy as np
import pytest
import torch

from lightning_posenc.diagnostics import entropy_of
from lightning_posenc.diagnostics.measures.fused_entropy import _fused
from tests.diagnostics.naive import B, H, S, naive_attention, naive_entropy, random_view

FITS: dict[str, dict[str, Any]] = {
    "bidirectional": {"biased": False, "mask": "none"},
    "causal": {"biased": False, "mask": "causal", "n_queries": S},
}
DOES_NOT: dict[str, dict[str, Any]] = {
    "bias": {"mask": "none"},
    "fewer queries": {"biased": False, "mask": "causal"},
    "tensor": {"biased": False, "mask": "tensor"},
    "rescore": {"biased": False, "mask": "none", "rescored": True},
}


@pytest.mark.parametrize("kind", [*FITS, *DOES_NOT])
def test_against_loops(kind: str) -> None:
    view = random_view(**{**FITS, **DOES_NOT}[kind])
    assert (_fused(view) is not None) == (kind in FITS)
    weights = naive_attention(view).weights
    expected = [naive_entropy(row) for row in weights.reshape(-1, S)]
    np.testing.assert_allclose(entropy_of(view).flatten(), expected, atol=1e-4)
    assert entropy_of(view).shape == (B, H, view.shape[2])


def test_huge_logits_go_by_blocks() -> None:
    view = random_view(**FITS["causal"])
    huge = view._replace(q=view.q * 1e4)
    assert _fused(huge) is None
    assert float(entropy_of(huge).max()) < 0.1


def test_half_precision_is_computed_in_float32() -> None:
    view = random_view(**FITS["causal"])
    half = view._replace(q=view.q.bfloat16(), k=view.k.bfloat16())
    same = half._replace(q=half.q.float(), k=half.k.float())
    torch.testing.assert_close(entropy_of(half), entropy_of(same))
    assert entropy_of(half).dtype == torch.float32
