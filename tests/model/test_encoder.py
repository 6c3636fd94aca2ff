"""Wiring of the encoder: norms, branches, what is computed how often, what is refused."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc import Dims, Encoder
from lightning_posenc.diagnostics import observe
from lightning_posenc.masks import Window
from lightning_posenc.model import (
    MLP,
    Attention,
    EncoderSpec,
    FeedForward,
    FNet,
    Mixer,
    Plain,
    SwiGLU,
)
from lightning_posenc.model.block import Block
from lightning_posenc.model.feed_forward import FeedForwardFactory, MixtureOfExperts
from lightning_posenc.model.kernels import attention_weights
from lightning_posenc.model.mixers import Context
from lightning_posenc.model.residual import DropPath
from lightning_posenc.positional import (
    ALiBi,
    Chain,
    Factory,
    LearnedRelativeBias,
    NoPE,
    PositionalEncoding,
    RoPE,
    ShawRelative,
    Sinusoidal,
)
from lightning_posenc.positions import Positions, Sequences

D, T = 16, 8
DIMS = Dims(D, 4, 3)


def tokens() -> Tensor:
    return torch.randn(2, T, D)


class Mixes(Mixer):
    """x -> 3x in place of attention."""

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return 3 * x


class Feeds(FeedForward):
    """x -> 5x."""

    def forward(self, x: Tensor) -> Tensor:
        return 5 * x


def placed(pre_norm: bool) -> partial[Plain]:
    return partial(Plain, pre_norm=pre_norm)


class Doubles(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


@pytest.mark.parametrize(("pre_norm", "expected"), [(True, 7.0 * 11.0), (False, 8.0 * 12.0)])
def test_where_norms_stand(pre_norm: bool, expected: float) -> None:
    """Branches 3x and 5x, a norm 2x: x + 3·2x = 7x, then times 11; 2(x + 3x) = 8x, times 12."""
    block = Block(DIMS, 0, Mixes(DIMS, 0), Feeds(DIMS, 0), Doubles, residual=placed(pre_norm))
    x = tokens()
    nowhere: Any = None
    torch.testing.assert_close(block(x, nowhere), expected * x)


def test_pre_norm_ends_with_a_norm_and_post_norm_already_has() -> None:
    assert isinstance(Encoder(DIMS).norm, nn.LayerNorm)
    assert isinstance(Encoder(DIMS, residual=placed(False)).norm, nn.Identity)


def test_rms_norm_everywhere() -> None:
    model = Encoder(DIMS, norm=nn.RMSNorm)
    assert not any(isinstance(module, nn.LayerNorm) for module in model.modules())
    assert sum(isinstance(module, nn.RMSNorm) for module in model.modules()) == 2 * 3 + 1
    torch.testing.assert_close(model(tokens()).square().mean(-1), torch.ones(2, T))


def test_swiglu_equals_its_equation() -> None:
    swiglu, x = SwiGLU(DIMS, 0, d_ff=24), tokens()
    gate, up = swiglu.gate_and_up.weight.chunk(2)
    expected = (F.silu(x @ gate.T) * (x @ up.T)) @ swiglu.out.weight.T
    torch.testing.assert_close(swiglu(x), expected)


def test_mlp_equals_its_equation() -> None:
    mlp, x = MLP(DIMS, 0, activation=nn.ReLU, bias=False), tokens()
    torch.testing.assert_close(mlp(x), (x @ mlp.up.weight.T).relu() @ mlp.out.weight.T)


@pytest.mark.parametrize("feed_forward", [MLP, SwiGLU, partial(SwiGLU, d_ff=8)])
@pytest.mark.parametrize("pre_norm", [True, False])
def test_variants_train(feed_forward: FeedForwardFactory, pre_norm: bool) -> None:
    mixer = partial(Attention, bias=False)
    model = Encoder(DIMS, RoPE, mixer=mixer, feed_forward=feed_forward, residual=placed(pre_norm))
    model(tokens()).pow(3).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().amax() > 0, name


def test_drop_path_drops_whole_sequences_and_keeps_the_expectation() -> None:
    drop, x = DropPath(0.25), torch.ones(20_000, 2, 3)
    out = drop(x)
    first = out[:, :1, :1]
    assert torch.equal(out, first.expand_as(out))
    assert set(out.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(out.mean().item() - 1) < 0.02  # five standard deviations
    assert torch.equal(drop.eval()(x), x)


def test_drop_path_grows_with_depth() -> None:
    dropping = partial(Plain, drop_path=0.4)
    model = Encoder(DIMS, residual=dropping)
    rates = [module.p for module in model.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.0, 0.0, 0.2, 0.2, 0.4, 0.4])
    assert Encoder(Dims(D, 4, 1), residual=dropping)(tokens()).isfinite().all()


@pytest.mark.parametrize(
    "wiring",
    [
        {"dropout": 0.5},
        {"mixer": partial(Attention, dropout=0.5)},
        {"residual": partial(Plain, drop_path=0.5)},
    ],
    ids=["dropout", "of attention", "drop_path"],
)
def test_dropping_acts_in_training_only(wiring: dict[str, Any]) -> None:
    model, x = Encoder(DIMS, init_std=0.2, **wiring), tokens()
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


class Spy:
    """Counts calls of an encoding's functions, and of the sampler of positions."""

    def __init__(self, model: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[str] = Counter()
        for owner, name in (
            *((type(model.positional), name) for name in ("prepare", "bias_at", "bias", "embed")),
            (type(model.positions), "__call__"),
        ):
            if hasattr(owner, name):
                monkeypatch.setattr(owner, name, self._counted(name, getattr(owner, name)))

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            return function(*args, **kwargs)

        return counted


@pytest.mark.parametrize("encoding", [ALiBi, LearnedRelativeBias, ShawRelative, RoPE, Sinusoidal])
def test_what_depends_on_positions_alone_is_computed_once(
    encoding: type[PositionalEncoding], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Encoder(DIMS, encoding)
    spy = Spy(model, monkeypatch)
    model(tokens())
    assert spy.calls["prepare"] == 1
    assert spy.calls["__call__"] == 1
    assert spy.calls["bias_at"] == (1 if hasattr(encoding, "bias_at") else 0)
    has_bias = "bias" in model.positional.hooks(0)  # who has none is not asked
    assert spy.calls["bias"] == (DIMS.n_layers if has_bias else 0)
    assert spy.calls["embed"] == DIMS.n_layers


@pytest.mark.parametrize("encoding", [ALiBi, LearnedRelativeBias])
def test_a_wide_gap_between_positions_costs_nothing(encoding: Factory) -> None:
    """A table of all distances up to 2^40 would not fit into memory."""
    positions = torch.arange(T).unsqueeze(0)
    positions[:, T // 2 :] += 2**40
    assert Encoder(DIMS, encoding)(tokens(), positions=positions).isfinite().all()


def test_given_positions_replace_the_drawn_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = Encoder(DIMS, Sinusoidal), tokens()
    spy = Spy(model, monkeypatch)
    moved = model(x, positions=torch.arange(T).unsqueeze(0) + 3)
    assert not spy.calls["__call__"]
    assert not torch.allclose(moved, model(x), atol=1e-2)


def test_sampler_is_told_of_documents_lengths_and_tokens() -> None:
    told: list[Sequences] = []

    class Told(Positions):
        def forward(self, sequences: Sequences) -> Tensor:
            told.append(sequences)
            return torch.arange(sequences.length).unsqueeze(0)

    documents, ids = torch.zeros(2, 2, T, dtype=torch.long)
    lengths = torch.tensor([T, T - 1])
    Encoder(DIMS, positions=Told())(tokens(), lengths, documents, tokens=ids)
    (sequences,) = told
    assert (sequences.number, sequences.length) == (2, T)
    assert sequences.documents is documents
    assert sequences.lengths is lengths
    assert sequences.tokens is ids


def test_positions_on_axes_are_refused_where_one_number_is_wanted() -> None:
    positions = torch.zeros(1, T, 2, dtype=torch.long)
    for encoding in (RoPE, ALiBi, Chain.of(NoPE, ALiBi)):
        with pytest.raises(ValueError, match="wants one number for each position, got 2"):
            Encoder(DIMS, encoding)(tokens(), positions=positions)


def test_window_limits_how_far_a_change_reaches() -> None:
    model, x = Encoder(Dims(D, 4, 1), NoPE, mask=Window(3), init_std=0.3), tokens()
    changed = x.clone()
    changed[:, 0] += torch.randn(D)
    touched = (model(changed) - model(x)).abs().amax(dim=(0, 2)) > 1e-6
    assert touched.tolist() == [True] * 3 + [False] * (T - 3)


def test_a_list_of_masks_is_repeated_over_the_layers() -> None:
    """RNoPE: windows and full attention in turn."""
    dims, x = Dims(D, 4, 3), tokens()
    model = Encoder(dims, NoPE, mask=[Window(1), None], init_std=0.3)
    with observe(model) as seen:
        model(x)
    weights = [attention_weights(each) for each in seen.attention]
    alone = torch.eye(T).expand_as(weights[0])
    assert [torch.equal(layer, alone) for layer in weights] == [True, False, True]
    with pytest.raises(ValueError, match="4 entries do not fit 3 layers"):
        Encoder(dims, mask=[None] * 4)


def test_positional_owns_all_positional_parameters() -> None:
    """The rest is what a model without an encoding has."""
    model = Encoder(DIMS, ShawRelative)
    rest = {name for name, _ in model.named_parameters() if not name.startswith("positional.")}
    assert rest == {name for name, _ in Encoder(DIMS, NoPE).named_parameters()}
    assert [name for name, _ in model.positional.named_parameters()] == ["table"]


def test_initial_scales() -> None:
    model = Encoder(Dims(64, 4, 8), init_std=0.1)
    block: Any = model.blocks[0]
    assert block.attention.qkv.weight.std().item() == pytest.approx(0.1, rel=0.1)
    for branch in (block.attention, block.feed_forward):
        assert branch.out.weight.std().item() == pytest.approx(0.1 / 4, rel=0.1)


def test_spec_builds_the_same_model() -> None:
    spec = EncoderSpec(D, 4, 3, embed_std=0.5, residual=placed(False), feed_forward=SwiGLU)
    model = spec.build(RoPE, None, causal=True)
    assert model.dims == Dims(D, 4, 3, causal=True, embed_std=0.5)
    same = Encoder(model.dims, RoPE, residual=placed(False), feed_forward=SwiGLU)
    same.load_state_dict(model.state_dict())
    x = tokens()
    assert torch.equal(same(x), model(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dims(16, 3, 1), "d_model=16 must be a multiple of n_heads=3"),
        (lambda: Dims(0, 1, 1), "d_model=0 must be at least 1"),
        (lambda: Dims(16, 4, 1, embed_std=0.0), "embed_std=0.0 must be a number"),
        (lambda: Attention(DIMS, 0, n_kv_heads=3), "n_kv_heads=3 must divide n_heads=4"),
        (lambda: Attention(DIMS, 0, n_kv_heads=0), "n_kv_heads=0 must be at least 1"),
        (lambda: Attention(DIMS, 0, dropout=1.0), "dropout=1.0 must be a number"),
        (lambda: Encoder(Dims(12, 4, 1), RoPE), "head size must be even"),
        (lambda: Encoder(Dims(9, 3, 1), Sinusoidal), "d_model=9 must be even"),
        (lambda: Encoder(DIMS, partial(Sinusoidal, layers=(0, 3))), "layers=3 must be at most 2"),
        (lambda: Encoder(Dims(8, 1, 1), ALiBi), "needs n_heads >= 2"),
        (
            lambda: Encoder(DIMS, partial(LearnedRelativeBias, max_distance=0)),
            "max_distance=0 must",
        ),
        (lambda: Encoder(DIMS, partial(ShawRelative, max_distance=0)), "max_distance=0 must"),
    ],
)
def test_wrong_sizes_are_refused_in_one_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        make()
    assert "\n" not in str(refusal.value)


def test_any_callable_makes_an_encoding() -> None:
    factory: Factory = lambda dims: RoPE(dims, base=100.0)  # noqa: E731
    model = Encoder(DIMS, factory)
    assert isinstance(model.positional, RoPE)
    assert model.positional.base == 100.0


@pytest.mark.parametrize("shape", [(0, 5, 16), (3, 0, 16)], ids=str)
@pytest.mark.parametrize(
    "wiring",
    [
        {"mixer": FNet},
        {"feed_forward": MixtureOfExperts},
        {"feed_forward": partial(MixtureOfExperts, capacity=1.0)},
    ],
    ids=str,
)
def test_nothing_to_read_is_read(wiring: dict[str, Any], shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    out = Encoder(Dims(16, 2, 2), **wiring).train()(x)
    assert out.shape == shape
    out.sum().backward()
