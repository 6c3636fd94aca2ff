"""Normalised queries and keys."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import Visibility
from lightning_posenc.model import Attention, kernels
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.kernels import Operands
from lightning_posenc.positional import NoPE, PositionalEncoding, RoPE, ShawRelative, Site

DIMS = Dims(32, 4, 2, causal=True)
T = 9


def tokens() -> Tensor:
    return torch.randn(2, T, 32)


def model(
    positional: Any = NoPE, norm: Any = nn.LayerNorm, qk_norm: bool = True,
    n_kv_heads: int | None = None, init_std: float = 0.4,
) -> Encoder:  # fmt: skip
    mixer = partial(Attention, n_kv_heads=n_kv_heads, qk_norm=norm if qk_norm else None)
    return Encoder(DIMS, positional, norm=norm, mixer=mixer, init_std=init_std).eval()


class Sees(PositionalEncoding):
    """Remembers the sites that its hooks were shown."""

    def __init__(self, dims: Dims) -> None:
        super().__init__(dims)
        self.seen: list[Site] = []

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        self.seen.append(site)
        return super().transform(site)

    def bias(self, site: Site) -> None:
        self.seen.append(site)


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_hooks_see_each_heads_normalised_queries_and_keys(norm: type[nn.Module]) -> None:
    of = model(Sees, norm=norm, n_kv_heads=2)
    attention: Any = of.blocks[0].get_submodule("attention")
    nn.init.uniform_(attention.qk_norm.q.weight, 0.5, 2)
    nn.init.uniform_(attention.qk_norm.k.weight, 0.5, 2)
    of(tokens())
    encoding: Any = of.positional
    site = encoding.seen[0]
    q, k, _ = attention.qkv(site.x).split([32, 16, 16], dim=-1)
    centred = norm is nn.LayerNorm
    for given, raw, gain in ((site.q, q, attention.qk_norm.q), (site.k, k, attention.qk_norm.k)):
        heads = raw.unflatten(-1, (-1, 8)).transpose(1, 2)
        if centred:
            heads = heads - heads.mean(-1, keepdim=True)
        expected = heads / heads.square().mean(-1, keepdim=True).sqrt() * gain.weight
        torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)
    assert len(encoding.seen) == 2 * DIMS.n_layers
    assert encoding.seen[0].q is encoding.seen[1].q  # bias and transform are shown the same


def logits(of: Encoder, x: Tensor) -> list[Tensor]:
    """q·k / sqrt(K) of every layer."""
    seen: list[Tensor] = []

    def look(kernel: nn.Module, given: tuple[Operands]) -> None:
        (operands,) = given
        everybody = Visibility(None, T, T, operands.q.device)
        seen.append(kernels.logits(operands._replace(bias=None, visibility=everybody)))

    hooks = [
        part.register_forward_pre_hook(look)
        for part in of.modules()
        if isinstance(part, kernels.Kernels)
    ]
    of(x)
    for hook in hooks:
        hook.remove()
    return seen


def test_logits_stay_below_the_root_of_the_heads_size() -> None:
    """However large the weights: sqrt(8) with gains of 1, where plain ones reach thousands."""
    x, bound = tokens(), 8**0.5 + 1e-4
    for positional in (NoPE, RoPE):  # a rotation changes no norm
        normed = logits(model(positional, norm=nn.RMSNorm, init_std=10.0), x)
        assert max(each.abs().amax().item() for each in normed) < bound
        plain = logits(model(positional, norm=nn.RMSNorm, init_std=10.0, qk_norm=False), x)
        assert max(each.abs().amax().item() for each in plain) > 1000


def test_scaling_queries_and_keys_changes_nothing() -> None:
    of, x = model(ShawRelative), tokens()
    before = of(x)
    for block in of.blocks:
        qkv: Any = block.get_submodule("attention.qkv")
        with torch.no_grad():
            qkv.weight[:64] *= 7
    torch.testing.assert_close(of(x), before, rtol=1e-3, atol=1e-3)


def test_cached_keys_are_the_normalised_ones() -> None:
    """Turned as they are in the cache, their lengths are still those that the norm gave them."""
    of, x, cache, outputs = model(RoPE, n_kv_heads=2), tokens(), Cache(T), []
    for now in range(T):
        here = torch.arange(now + 1).unsqueeze(0)
        outputs.append(of(x[:, now : now + 1], positions=here, cache=cache))
    torch.testing.assert_close(torch.cat(outputs, 1), of(x), rtol=0, atol=1e-5)
    remembered = cache._layers[0]["k"].memory
    torch.testing.assert_close(remembered.square().mean(-1), torch.ones(2, 2, T), rtol=0, atol=1e-3)


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_half_precision(norm: type[nn.Module]) -> None:
    """Queries and keys leave the norm in the dtype that they came in."""
    of, x = model(RoPE, norm=norm, init_std=0.2), tokens()
    expected = of(x)
    dtypes: list[set[torch.dtype]] = []
    for part in of.modules():
        if isinstance(part, kernels.Kernels):
            part.register_forward_pre_hook(
                lambda _, given: dtypes.append({given[0].q.dtype, given[0].k.dtype})
            )
    with torch.autocast("cpu", torch.bfloat16):
        out = of(x)
    assert ((out - expected).norm() / expected.norm()).item() < 0.02
    whole = of.bfloat16()(x.bfloat16())
    assert ((whole.float() - expected).norm() / expected.norm()).item() < 0.05
    assert dtypes == [{torch.bfloat16}] * 4


def test_kinds_of_norm() -> None:
    names = set(model(norm=nn.RMSNorm).state_dict()) - set(
        Encoder(DIMS, norm=nn.RMSNorm).state_dict()
    )
    assert names == {f"blocks.{i}.attention.qk_norm.{what}.weight" for i in (0, 1) for what in "qk"}
    without_bias = partial(nn.LayerNorm, bias=False)
    assert not any(
        name.endswith("qk_norm.q.bias") for name in model(norm=without_bias).state_dict()
    )


def test_gains_learn() -> None:
    of = model(RoPE).train()
    of(tokens()).pow(3).sum().backward()
    for name, parameter in of.named_parameters():
        if "qk_norm" in name and not name.endswith("k.bias"):
            assert parameter.grad is not None
            assert parameter.grad.abs().amax() > 1e-6, name


def test_equals_torchs_attention_on_normalised_heads() -> None:
    of, x = model(norm=nn.RMSNorm), tokens()
    attention: Any = of.blocks[0].get_submodule("attention")
    seen: list[Tensor] = []
    attention.register_forward_hook(lambda module, given, out: seen.extend((given[0], out)))
    of(x)
    q, k, v = (
        part.unflatten(-1, (4, 8)).transpose(1, 2) for part in attention.qkv(seen[0]).chunk(3, -1)
    )
    q, k = F.rms_norm(q, (8,)), F.rms_norm(k, (8,))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    expected = attention.out(mixed.transpose(1, 2).flatten(-2))
    torch.testing.assert_close(seen[1], expected, rtol=1e-4, atol=1e-4)
