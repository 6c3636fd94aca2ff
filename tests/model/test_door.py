"""What the encoder is called with is compared once, before anything reads it (F16, F22).

Shapes: B sequences, T tokens, D = d_model.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.data.batch import Batch
from lightning_posenc.model import EncoderSpec
from lightning_posenc.model.cache import Cache
from lightning_posenc.modules import LanguageModel, SequenceClassifier, greedy
from lightning_posenc.positional import (
    AxialRoPE,
    Chain,
    CoPE,
    FoX,
    NoPE,
    PaTH,
    PerLayer,
    RoPE,
    SelectiveRoPE,
)
from lightning_posenc.positional.base import Factory
from tests.cases import Case
from tests.helpers import D_MODEL, counted, each_method, encoder, tokens

B, T = 2, 6
WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32)


def model(positional: Factory = RoPE, **wiring: Any) -> Encoder:
    return Encoder(Dims(D_MODEL, 4, 2, causal=True), positional, **wiring).eval()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"positions": torch.zeros(1, 1, dtype=torch.long)}, "positions must be .2 or 1, 6"),
        ({"positions": torch.zeros(B, 1, dtype=torch.long)}, "positions must be .2 or 1, 6"),
        ({"positions": torch.zeros(3, T, dtype=torch.long)}, "positions must be .2 or 1, 6"),
        ({"positions": torch.zeros(T, dtype=torch.long)}, "positions must be .2 or 1, 6"),
        ({"positions": torch.zeros(1, T, 1, 1, dtype=torch.long)}, "positions must be .2 or 1, 6"),
        ({"positions": torch.arange(T)[None].bfloat16()}, "torch.bfloat16 do not stay distinct"),
        ({"positions": torch.arange(T)[None].half()}, "torch.float16 do not stay distinct"),
        ({"positions": torch.ones(1, T, dtype=torch.bool)}, "torch.bool do not stay distinct"),
        ({"positions": torch.full((1, T), torch.nan)}, "positions must be finite"),
        ({"positions": torch.full((1, T), torch.inf)}, "positions must be finite"),
        ({"positions": torch.arange(T)[None] + 2**60}, "positions must lie within"),
        ({"positions": torch.zeros(1, T, 0, dtype=torch.long)}, "positions must be .2 or 1, 6"),
        ({"lengths": torch.tensor([3])}, r"lengths must be whole numbers \(2,\)"),
        ({"lengths": torch.tensor([[3], [3]])}, r"lengths must be whole numbers \(2,\)"),
        ({"lengths": torch.tensor([3.0, 2.0])}, r"lengths must be whole numbers \(2,\)"),
        ({"lengths": torch.tensor([7, 2])}, "between 0 and the 6 tokens of a sequence, got 7"),
        ({"lengths": torch.tensor([6, -1])}, "between 0 and the 6 tokens of a sequence, got -1"),
        ({"documents": torch.zeros(B, T + 1, dtype=torch.long)}, r"documents must be .*\(2, 6\)"),
        ({"documents": torch.zeros(1, T, dtype=torch.long)}, r"documents must be .*\(2, 6\)"),
        ({"documents": torch.zeros(B, T)}, r"documents must be .*\(2, 6\)"),
        ({"tokens": torch.zeros(B, T - 1, dtype=torch.long)}, r"tokens must be .*\(2, 6\)"),
        ({"tokens": torch.zeros(B, T)}, r"tokens must be .*\(2, 6\)"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Tensor], what: str) -> None:
    with pytest.raises(ValueError, match=what) as caught:
        model()(torch.randn(B, T, D_MODEL), **arguments)
    assert "\n" not in str(caught.value)


def test_positions_of_more_sequences_than_there_are_make_no_batch_of_their_own() -> None:
    """F16: RoPE and four others answered (3, 6, D) for x (1, 6, D)."""
    with pytest.raises(ValueError, match=r"positions must be \(1, 6\) or"):
        model()(torch.randn(1, T, D_MODEL), positions=torch.arange(T).expand(3, T))


@pytest.mark.parametrize("x", [torch.zeros(T, D_MODEL), torch.zeros(B, T, D_MODEL + 1)])
def test_tokens_that_are_not_embedded_are_refused(x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"x must be embedded tokens \(B, T, 32\)"):
        model()(x)


def test_ids_in_place_of_embedded_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match=r"of a floating dtype, got \(2, 6, 32\) of torch.int64"):
        model()(torch.zeros(B, T, D_MODEL, dtype=torch.long))


@each_method
def test_narrow_whole_positions_count_as_int64(case: Case) -> None:
    """F22: uint8 wrapped where it was subtracted, int16 ended in torch's own error."""
    of, x, positions = encoder(case, causal=True), tokens(), counted(case)
    if positions.amax() > 127 or positions.amin() < 0:
        positions = positions.clamp(0, 127)
    expected = of(x, positions=positions)
    for dtype in WHOLE:
        assert torch.equal(of(x, positions=positions.to(dtype)), expected), dtype


@each_method
def test_no_sequences_and_no_tokens_are_served(case: Case) -> None:
    """F22: (0, T, D) and (B, 0, D), each with the shape that it came in."""
    of, positions = encoder(case, causal=True), counted(case)
    assert of(tokens(batch=0), positions=positions).shape == tokens(batch=0).shape
    empty = torch.randn(B, 0, D_MODEL)
    assert of(empty, positions=positions[:, :0]).shape == empty.shape
    no_lengths = torch.zeros(0, dtype=torch.long)
    assert of(tokens(batch=0), positions=positions, lengths=no_lengths).numel() == 0


ON_A_GRID = (NoPE, FoX, CoPE, PaTH, SelectiveRoPE, Chain.of(AxialRoPE, FoX))


@pytest.mark.parametrize("positional", [*ON_A_GRID, PerLayer.of(AxialRoPE, NoPE)])
def test_what_reads_no_positions_accepts_any(positional: Factory) -> None:
    """F11: grids, trees, a graph's distances, one number on an axis of its own."""
    of, x = model(positional), torch.randn(B, T, D_MODEL)
    axes = (2,) if positional not in ON_A_GRID[:5] else (1, 2, 3, T)
    for n in axes:
        drawn = torch.randint(9, (1, T, n))
        assert of(x, positions=drawn).isfinite().all()


def test_one_axis_is_a_plain_position() -> None:
    """F22: AxialRoPE(axes=1) refused 1 number for wanting 1."""
    x = torch.randn(B, T, D_MODEL)
    axial, plain = model(lambda dims: AxialRoPE(dims, axes=1)), model(RoPE)
    plain.load_state_dict(axial.state_dict())
    assert torch.equal(axial(x), plain(x))


def test_recomputed_blocks_do_not_extend_a_cache_again() -> None:
    """F18: two chunks with one cache, then a backward pass, ended in torch's size mismatch."""
    of = model()
    of.checkpoint_activations = True
    x, positions = torch.randn(B, T, D_MODEL), torch.arange(T)[None]
    whole = of(x)
    cache = Cache()
    parts = [of(x[:, :4], positions=positions[:, :4], cache=cache)]
    parts.append(of(x[:, 4:], positions=positions, cache=cache))
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    of.train()
    with pytest.raises(ValueError, match="checkpoint_activations=false"):
        of(x, positions=positions, cache=Cache())
    with torch.no_grad():
        of(x, positions=positions, cache=Cache())


@pytest.mark.parametrize(
    ("tokens", "what"),
    [
        (torch.tensor([[0, 5]]), "between 0 and 4, as vocab_size=5 says, got 5"),
        (torch.tensor([[0, -1]]), "between 0 and 4, as vocab_size=5 says, got -1"),
        (torch.tensor([[0.0, 1.0]]), r"whole numbers \(B, T\)"),
        (torch.tensor([0, 1]), r"whole numbers \(B, T\)"),
    ],
)
def test_tokens_that_the_vocabulary_lacks_are_refused(tokens: Tensor, what: str) -> None:
    of = LanguageModel(EncoderSpec(16, 2, 1), vocab_size=5)
    for asked in (lambda: of.logits(Batch(tokens, tokens)), lambda: greedy(of, tokens, length=4)):
        with pytest.raises(ValueError, match=what):
            asked()


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_a_sequence_of_no_tokens_has_scores_all_the_same(pooling: Any) -> None:
    of = SequenceClassifier(EncoderSpec(16, 2, 1), 5, 3, pooling=pooling)
    batch = Batch(torch.zeros(2, 4, dtype=torch.long), torch.zeros(2), torch.tensor([0, 4]))
    assert of.logits(batch).isfinite().all()
