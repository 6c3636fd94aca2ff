"""Sums over the past, by chunks, are those of their definition, whatever is carried on.

Shapes: B sequences, H heads, T tokens, K channels of keys, V of values.
"""

import pytest
import torch
from torch import Tensor

from lightning_posenc.model.kernels.running_sums import running_sums

B, H, T, K, V = 2, 3, 23, 4, 5
DOCUMENTS = torch.tensor([[0] * 3 + [4] * 9 + [1] * 11, [2] * 23])


def naive(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, documents: Tensor) -> Tensor:
    out = torch.zeros(B, H, T, V, dtype=q.dtype)
    for i in range(T):
        for j in range(i + 1):
            left = log_decay[:, :, j + 1 : i + 1].sum(dim=-1).exp()  # (B, H)
            left = left * (documents[:, i] == documents[:, j])[:, None]
            product = (q[:, :, i] * k[:, :, j]).sum(dim=-1)
            out[:, :, i] += (left * product).unsqueeze(-1) * v[:, :, j]
    return out


def drawn() -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    q, k = torch.randn(2, B, H, T, K, dtype=torch.float64).unbind()
    log_decay = -torch.rand(B, H, T, dtype=torch.float64) * 3
    return q, k, torch.randn(B, H, T, V, dtype=torch.float64), log_decay


@pytest.mark.parametrize("chunk", [1, 4, 8, 23, 64])
@pytest.mark.parametrize("packed", [True, False])
def test_by_chunks_of_any_size(chunk: int, packed: bool) -> None:
    q, k, v, log_decay = drawn()
    documents = DOCUMENTS if packed else torch.zeros_like(DOCUMENTS)
    out, _ = running_sums(q, k, v, log_decay, documents if packed else None, chunk=chunk)
    torch.testing.assert_close(out, naive(q, k, v, log_decay, documents))
    out, _ = running_sums(q, k, v, None, documents if packed else None, chunk=chunk)
    torch.testing.assert_close(out, naive(q, k, v, torch.zeros_like(log_decay), documents))


@pytest.mark.parametrize("steps", [(12, 11), (3, 9, 1, 10), (1,) * T])
@pytest.mark.parametrize("packed", [True, False])
def test_a_state_goes_on_where_it_ended(steps: tuple[int, ...], packed: bool) -> None:
    q, k, v, log_decay = drawn()
    documents = DOCUMENTS if packed else None
    expected, last = running_sums(q, k, v, log_decay, documents, chunk=5)
    state, read, outputs = None, 0, []
    for step in steps:
        now = slice(read, read + step)
        told = None if documents is None else documents[:, : now.stop]
        out, state = running_sums(
            q[:, :, now], k[:, :, now], v[:, :, now], log_decay[:, :, now], told, state, chunk=4
        )
        outputs.append(out)
        read = now.stop
    torch.testing.assert_close(torch.cat(outputs, dim=2), expected)
    torch.testing.assert_close(state, last)


def test_the_strongest_decay_leaves_what_is_at_hand() -> None:
    """exp(-1e4) is 0, and nothing is divided by it: gradients stay finite too."""
    q, k, v, _ = (x.float().requires_grad_() for x in drawn())
    log_decay = torch.full((1, 1, T), -1e4, requires_grad=True)
    out, _ = running_sums(q, k, v, log_decay, chunk=8)
    torch.testing.assert_close(out, (q * k).sum(-1, keepdim=True) * v)
    grads = torch.autograd.grad(out.square().sum(), (q, k, v, log_decay))
    assert all(grad.isfinite().all() for grad in grads)
