"""How branches join the stream: equations, initialisation, placement of norms."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import Attention, DeepNorm, LayerScale, Plain, ReZero, SwiGLU
from lightning_posenc.model.residual import ResidualFactory
from lightning_posenc.positional import LearnedRelativeBias, RoPE

DIMS = Dims(64, 4, 4)


def tokens(width: int = 64) -> Tensor:
    return torch.randn(2, 8, width)


@pytest.mark.parametrize(
    ("residual", "of_stream", "of_branch"),
    [
        (Plain, 1.0, 1.0),
        (partial(LayerScale, init=0.3), 1.0, 0.3),
        (ReZero, 1.0, 0.0),
        (partial(ReZero, init=0.5), 1.0, 0.5),
        (DeepNorm, 8**0.25, 1.0),
    ],
)
@pytest.mark.parametrize("of_branch_dtype", [torch.float32, torch.bfloat16])
def test_sum(
    residual: ResidualFactory, of_stream: float, of_branch: float, of_branch_dtype: torch.dtype
) -> None:
    """Under autocast the branch is in half precision and the stream is not."""
    x, branch = tokens(), tokens().to(of_branch_dtype)
    joined = residual(DIMS, 0)(x, branch)
    assert joined.dtype == torch.float32
    torch.testing.assert_close(joined, of_stream * x + of_branch * branch.float())


@pytest.mark.parametrize(
    ("n_layers", "gain"), [(1, 0.1), (18, 0.1), (19, 1e-5), (24, 1e-5), (25, 1e-6), (96, 1e-6)]
)
def test_layer_scale_starts_smaller_where_the_model_is_deeper(n_layers: int, gain: float) -> None:
    made = LayerScale(Dims(8, 2, n_layers), 0).gain
    assert made.shape == (8,)
    assert made.unique().tolist() == pytest.approx([gain])


@pytest.mark.parametrize(
    ("residual", "std_of_out"),
    [(Plain, 0.1 / 8**0.5), (LayerScale, 0.1), (ReZero, 0.1)],
)
def test_initialisation_at_init_std(residual: ResidualFactory, std_of_out: float) -> None:
    block: Any = Encoder(DIMS, residual=residual, init_std=0.1).blocks[1]
    assert block.attention.qkv.weight.std().item() == pytest.approx(0.1, rel=0.05)
    assert block.feed_forward.up.weight.std().item() == pytest.approx(0.1, rel=0.05)
    for branch in (block.attention, block.feed_forward):
        assert branch.out.weight.std().item() == pytest.approx(std_of_out, rel=0.05)


def test_deep_norm_starts_by_xavier_with_its_gains() -> None:
    """Grouped keys are narrower: the fan is that of each matrix, not of what is stacked."""
    beta = (8 * DIMS.n_layers) ** -0.25
    model = Encoder(
        DIMS,
        residual=DeepNorm,
        mixer=partial(Attention, n_kv_heads=2),
        feed_forward=partial(SwiGLU, d_ff=96, bias=True),
    )
    block: Any = model.blocks[1]
    q, k, v = block.attention.qkv.weight.split([64, 32, 32])
    gate, up = block.feed_forward.gate_and_up.weight.chunk(2)
    for matrix, gain in [
        (q, 1.0),
        (k, 1.0),
        (v, beta),
        (block.attention.out.weight, beta),
        (gate, beta),
        (up, beta),
        (block.feed_forward.out.weight, beta),
    ]:
        expected = gain * math.sqrt(2 / sum(matrix.shape))
        assert matrix.std().item() == pytest.approx(expected, rel=0.08)
    assert not block.attention.qkv.bias.any()
    assert not block.feed_forward.gate_and_up.bias.any()


def test_deep_norm_scales_the_stream_before_the_norm() -> None:
    """One block by hand."""
    model = Encoder(Dims(16, 2, 1), residual=DeepNorm)
    block: Any = model.blocks[0]
    seen: dict[str, Tensor] = {}
    for name in ("attention", "feed_forward"):
        block.get_submodule(name).register_forward_hook(
            lambda module, given, out, name=name: seen.update({name: out})
        )
    x = tokens(16)
    out = model(x)
    alpha = 2**0.25
    middle = block.norm_attention(alpha * x + seen["attention"])
    expected = block.norm_feed_forward(alpha * middle + seen["feed_forward"])
    torch.testing.assert_close(out, expected)


def test_deep_norm_has_no_norms_before_branches() -> None:
    model = Encoder(DIMS, residual=DeepNorm)
    assert isinstance(model.norm, nn.Identity)
    with pytest.raises(ValueError, match="unexpected keyword argument 'pre_norm'"):
        Encoder(DIMS, residual=partial(DeepNorm, pre_norm=True))


@pytest.mark.parametrize("pre_norm", [True, False])
def test_rezero_starts_as_the_identity_at_any_depth(pre_norm: bool) -> None:
    """And leaves it: the gains have a gradient in the first step, everything in the second."""
    residual = partial(ReZero, pre_norm=pre_norm)
    model = Encoder(Dims(16, 2, 40), RoPE, residual=residual, norm=nn.Identity)
    x, target = tokens(16), tokens(16)
    assert torch.equal(model(x), x)
    for reached in (80, len(list(model.parameters()))):
        model.zero_grad()
        (model(x) - target).square().mean().backward()
        moved = [p for p in model.parameters() if p.grad is not None and p.grad.any()]
        assert len(moved) == reached
        with torch.no_grad():
            for parameter in moved:
                assert parameter.grad is not None
                parameter.sub_(0.5 * parameter.grad)


@pytest.mark.parametrize("residual", [LayerScale, ReZero])
def test_gains_are_one_set_a_branch_and_move(residual: type[LayerScale | ReZero]) -> None:
    model = Encoder(DIMS, LearnedRelativeBias, residual=partial(residual, init=0.2))
    plain = {name for name, _ in Encoder(DIMS, LearnedRelativeBias).named_parameters()}
    gains = {name for name, _ in model.named_parameters()} - plain
    assert len(gains) == 2 * DIMS.n_layers
    model(tokens()).pow(3).sum().backward()
    for name in gains:
        grad = model.get_parameter(name).grad
        assert grad is not None
        assert grad.all(), name


def test_plain_adds_no_state() -> None:
    """Checkpoints from before there was a choice still fit."""
    names = set(Encoder(Dims(16, 2, 1)).state_dict())
    linears = ("attention.qkv", "attention.out", "feed_forward.up", "feed_forward.out")
    norms = ("norm_attention", "norm_feed_forward")
    parts = [f"blocks.0.{part}" for part in (*linears, *norms)] + ["norm"]
    assert names == {f"{part}.{kind}" for part in parts for kind in ("weight", "bias")}


@pytest.mark.parametrize("residual", [LayerScale, ReZero, DeepNorm])
def test_a_deep_stack_stays_in_bounds(residual: ResidualFactory) -> None:
    """48 post-norm layers and more: the stream neither explodes nor vanishes, nor its gradient."""
    model = Encoder(Dims(32, 4, 48), RoPE, residual=residual)
    x = tokens(32).requires_grad_()
    out = model(x)
    (grad,) = torch.autograd.grad((out * torch.randn_like(out)).sum(), x)
    assert 0.5 < out.std().item() < 2
    assert 0.05 < grad.norm().item() / x.numel() ** 0.5 < 20
