"""Canon layers on queries, keys and values: decoding, order in a chain, what they leave alone."""

from functools import partial

import pytest
import torch

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import Attention
from lightning_posenc.model.cache import Cache
from lightning_posenc.positional import CanonB, Chain, RoPE
from lightning_posenc.testing import whole_models
from lightning_posenc.testing.case import Case
from lightning_posenc.testing.sizes import LENGTH

DIMS = Dims(16, 4, 2, causal=True)
KEYS_AND_VALUES = partial(CanonB, of="kv")


@pytest.mark.parametrize("positional", [KEYS_AND_VALUES, Chain.of(KEYS_AND_VALUES, RoPE)])
def test_token_by_token_gives_the_numbers_of_a_whole_pass(positional: object) -> None:
    grouped = {"mixer": partial(Attention, n_kv_heads=2)}
    case = Case("canon", positional, wiring=grouped)  # type: ignore[arg-type]
    whole_models.reading_with_a_cache_equals_reading_at_once(case, True, (1,) * LENGTH)


def test_queries_of_earlier_tokens_are_in_no_cache() -> None:
    x = torch.randn(1, 1, 16)
    with pytest.raises(ValueError, match=r'CanonB: reads queries .* of="kv" does not'):
        Encoder(DIMS, CanonB)(x, positions=torch.zeros(1, 1, dtype=torch.long), cache=Cache())


def test_documents_begin_anew_and_padding_reaches_nobody() -> None:
    whole_models.packed_documents_equal_each_document_alone(Case("canon", CanonB), True)
    whole_models.padded_batch_equals_each_sequence_alone(Case("canon", CanonB), False)


def test_it_goes_before_what_turns_keys() -> None:
    with pytest.raises(ValueError, match=r"CanonB mixes what RoPE turned, .*: put it first"):
        Encoder(DIMS, Chain.of(RoPE, CanonB))


@pytest.mark.parametrize(
    ("of", "hooks"),
    [("v", {"values"}), ("qk", {"transform"}), ("kv", {"transform", "values"})],
)
def test_what_is_not_convolved_asks_for_no_hook(of: str, hooks: set[str]) -> None:
    encoding = CanonB(DIMS, of)
    assert encoding.hooks(0) == hooks
    assert set(encoding.weights) == set(of)


def test_without_weights_nothing_changes() -> None:
    model, plain = Encoder(DIMS, CanonB), Encoder(DIMS)
    plain.load_state_dict(model.state_dict(), strict=False)
    torch.nn.init.zeros_(model.positional.weights["q"])
    torch.nn.init.zeros_(model.positional.weights["k"])
    x = torch.randn(1, 6, 16)
    assert not torch.allclose(model(x), plain(x), atol=1e-6)
    torch.nn.init.zeros_(model.positional.weights["v"])
    torch.testing.assert_close(model(x), plain(x))
