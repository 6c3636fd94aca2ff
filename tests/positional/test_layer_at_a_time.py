"""Where every pair has a bias of its own, a layer makes its own when its turn comes.

The biases of all layers never exist at once (P3 of the review, of float positions).
"""

from functools import partial
from typing import Any

import pytest
import torch

from lightning_posenc import Encoder
from lightning_posenc.positional import (
    BAM,
    DynamicBias,
    KERPLELog,
    KERPLEPower,
    LearnedRelativeBias,
    T5Bias,
)
from lightning_posenc.positional.bias.layered import LayeredBias, PairDistances
from lightning_posenc.positions import Places
from tests.helpers import dims

T, L = 8, 3
KINDS = [BAM, DynamicBias, KERPLELog, KERPLEPower, LearnedRelativeBias, T5Bias]
FLOATS = torch.arange(T)[None] + 0.25


def test_they_are_all_that_layers_may_have_for_themselves() -> None:
    assert set(LayeredBias.__subclasses__()) >= set(KINDS)
    ours = {kind for kind in LayeredBias.__subclasses__() if "lightning_posenc" in kind.__module__}
    assert ours == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shared", [True, False])
def test_one_layer_at_a_time(kind: Any, shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    of = Encoder(dims(causal=True, n_layers=L), partial(kind, shared=shared), init_std=0.2).eval()
    x, made = torch.randn(2, T, of.dims.d_model), []
    own = kind.bias_of

    def spied(self: Any, number: int, delta: torch.Tensor) -> torch.Tensor:
        made.append(number)
        return own(self, number, delta)

    monkeypatch.setattr(kind, "bias_of", spied)
    places = Places(FLOATS)
    prepared = of.positional.prepare(places, places)
    assert isinstance(prepared, PairDistances) != shared
    assert made == ([0] if shared else [])
    made.clear()
    out = of(x, positions=FLOATS)
    assert made == ([0] if shared else list(range(L)))
    # The same as from what all layers have at once.
    monkeypatch.setattr(kind, "_at_pairs", LayeredBias.__mro__[1]._at_pairs)  # type: ignore[attr-defined]
    torch.testing.assert_close(out, of(x, positions=FLOATS), rtol=0, atol=0)
