"""Mixers that carry a state on: turned keys and values too, in memory that does not grow.

Shapes: B sequences, T tokens, D = d_model.
"""

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import LinearAttention, Mamba2, Performer, Retention
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.mixers.recurrent import Recurrent
from lightning_posenc.positional import NoPE, RoPE, XPos
from lightning_posenc.positional.base import Factory

B, T, D = 2, 12, 32
TURNED = [LinearAttention, Performer, Retention]
KINDS = [*TURNED, Mamba2]


def encoder(kind: type[Recurrent], positional: Factory) -> Encoder:
    torch.manual_seed(0)
    return Encoder(Dims(D, 4, 2, causal=True), positional, mixer=kind, init_std=0.3).eval()


def read(of: Encoder, x: Tensor, cache: Cache, steps: tuple[int, ...], **given: Tensor) -> Tensor:
    outputs, now = [], 0
    for step in steps:
        here = torch.arange(now + step)[None]
        told = {name: value[:, : now + step] for name, value in given.items()}
        outputs.append(of(x[:, now : now + step], positions=here, cache=cache, **told))
        now += step
    return torch.cat(outputs, dim=1)


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "positional"), [*((kind, RoPE) for kind in TURNED), (Mamba2, NoPE)]
)
def test_decoding_takes_memory_of_no_length(kind: type[Recurrent], positional: Factory) -> None:
    of, x, cache = encoder(kind, positional), torch.randn(B, T, D), Cache()
    torch.testing.assert_close(read(of, x, cache, (5, 1, 1, 5)), of(x), rtol=0, atol=1e-5)
    assert len(cache) == T
    taken = cache.n_bytes
    of(x, positions=torch.arange(2 * T)[None], cache=cache)
    assert len(cache) == 2 * T
    assert cache.n_bytes == taken > 0


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_is_of_its_own_document(kind: type[Recurrent]) -> None:
    of, x, cache = encoder(kind, NoPE), torch.randn(B, T, D), Cache()
    documents = torch.tensor([[0] * 5 + [3] * 7, [1] * 11 + [2]])
    out = read(of, x, cache, (3, 2, 1, 6), documents=documents)
    torch.testing.assert_close(out, of(x, documents=documents), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_flow_through_a_state(kind: type[Recurrent]) -> None:
    of, x = encoder(kind, NoPE), torch.randn(B, T, D, requires_grad=True)
    (through,) = torch.autograd.grad(read(of, x, Cache(), (4, 8)).square().sum(), x)
    (at_once,) = torch.autograd.grad(of(x).square().sum(), x)
    torch.testing.assert_close(through, at_once, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", TURNED)
def test_keys_that_change_with_later_tokens_are_refused(kind: type[Recurrent]) -> None:
    of, x = encoder(kind, XPos), torch.randn(B, T, D)
    of(x)
    with pytest.raises(ValueError, match=f"{kind.__name__}: carries a state on, and XPos"):
        read(of, x, Cache(), (4,))
