"""Padding in a causal model costs no mask (P2 of the review), since nobody reads what it changes.

Shapes: B sequences, T tokens.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc import Encoder
from lightning_posenc.data import Batch
from lightning_posenc.diagnostics import observe
from lightning_posenc.diagnostics.measures.measure import measured
from lightning_posenc.diagnostics.quantities import MEASUREMENTS
from lightning_posenc.masks import Causal, Padding, Visibility, compose
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, SequenceClassifier, TokenClassifier
from lightning_posenc.positional import ALiBi, NoPE, RoPE
from lightning_posenc.tasks import IGNORE
from tests.helpers import dims

B, T = 3, 12
LENGTHS = torch.tensor([T, 7, 1])
REAL = torch.arange(T) < LENGTHS[:, None]


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What torch's fused attention is called with."""
    calls: list[dict[str, Any]] = []
    own = F.scaled_dot_product_attention

    def spied(*args: Tensor, **options: Any) -> Tensor:
        calls.append(options)
        return own(*args, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spied)
    return calls


@pytest.mark.parametrize("encoding", [NoPE, RoPE])
def test_a_padded_causal_model_runs_the_fused_causal_kernel(
    encoding: Any, fused: list[dict[str, Any]]
) -> None:
    Encoder(dims(causal=True), encoding)(torch.randn(B, T, 32), lengths=LENGTHS)
    assert fused
    assert all(call["is_causal"] and call["attn_mask"] is None for call in fused)


def test_a_bias_is_merged_with_one_mask_for_all_sequences(fused: list[dict[str, Any]]) -> None:
    Encoder(dims(causal=True), ALiBi)(torch.randn(B, T, 32), lengths=LENGTHS)
    assert fused
    assert all(len(call["attn_mask"]) == 1 for call in fused)


def test_a_padded_bidirectional_model_has_its_mask(fused: list[dict[str, Any]]) -> None:
    Encoder(dims(causal=False), NoPE)(torch.randn(B, T, 32), lengths=LENGTHS)
    for call in fused:
        assert torch.equal(call["attn_mask"][:, 0, 0], REAL)


def test_tokens_see_the_same_with_the_mask_and_without() -> None:
    """The two differ in rows of padding alone, which is why one may be left out."""
    plain, padded = (
        Visibility(compose(Causal(), mask), T, T, torch.device("cpu")).dense
        for mask in (None, Padding(LENGTHS))
    )
    assert plain is not None
    assert padded is not None
    differs = (plain != padded)[:, 0].any(dim=-1)
    assert not differs[REAL].any()
    assert differs.any()


@pytest.mark.parametrize("causal", [True, False])
def test_what_padding_holds_reaches_no_token_and_gets_no_gradient(causal: bool) -> None:
    model = Encoder(dims(causal=causal), RoPE, init_std=0.2).eval()
    x = torch.randn(B, T, 32)
    other = torch.where(REAL[..., None], x, 1000 * torch.randn(B, T, 32)).requires_grad_()
    out, changed = model(x, lengths=LENGTHS), model(other, lengths=LENGTHS)
    torch.testing.assert_close(changed[REAL], out[REAL])
    changed[REAL].square().sum().backward()
    assert other.grad is not None
    assert other.grad[REAL].any()
    assert not other.grad[~REAL].any()


@pytest.mark.parametrize("pooling", ["mean", "last", "first", "tokens", "language"])
def test_nobody_reads_what_stands_at_padding(pooling: Any) -> None:
    """Neither losses, nor predictions, nor any measurement by layer."""
    spec = EncoderSpec(16, 2, 2)
    if pooling == "language":
        module: Any = LanguageModel(spec, 9)
    elif pooling == "tokens":
        module = TokenClassifier(spec, 9, 5, causal=True)
    else:
        module = SequenceClassifier(spec, 9, 5, pooling=pooling, causal=True)
    module.eval()
    lengths = torch.tensor([T, 7, 4, 9] * 8)
    real = torch.arange(T) < lengths[:, None]
    tokens, others = torch.randint(0, 9, (2, len(lengths), T))
    wide = pooling in ("tokens", "language")
    targets = torch.randint(0, 5, (len(lengths), T) if wide else (len(lengths),))
    targets = torch.where(real, targets, IGNORE) if wide else targets
    found = []
    for filled in (tokens, torch.where(real, tokens, others)):
        batch = Batch(filled, targets, lengths)
        with observe(module) as seen, torch.no_grad():
            loss, logits, _ = module.score(batch, 0)
        kept = logits[real] if wide else logits
        numbers = [measured(of, seen, lengths) for of in MEASUREMENTS]
        found.append((loss, kept, numbers))
    torch.testing.assert_close(found[1], found[0], equal_nan=True)
