"""Attention that `torch.func.vmap` maps over is that of each entry, with its gradients."""

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from lightning_posenc.masks import Causal, Visibility
from lightning_posenc.model import SDPA
from lightning_posenc.model.kernels import Operands

MAPPED, ROWS, HEADS, TOKENS, WIDTH = 3, 2, 4, 5, 8


def attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    visibility = Visibility(Causal(), TOKENS, TOKENS, q.device)
    return SDPA()(Operands(q, k, v, bias, visibility, None, WIDTH**-0.5))


@pytest.mark.parametrize("groups", [HEADS, 2], ids=["heads", "grouped"])
@pytest.mark.parametrize("bias", [
    None, (TOKENS, TOKENS), (1, HEADS, TOKENS, TOKENS), (ROWS, HEADS, TOKENS, TOKENS),
], ids=["none", "shared", "one-for-all-rows", "of-each-row"])  # fmt: skip
def test_it_is_that_of_each_entry(bias: tuple[int, ...] | None, groups: int) -> None:
    """A bias learns; it is mapped over too, unless it is the same for all."""
    shared = bias is not None and len(bias) == 2
    kv = (MAPPED, ROWS, groups, TOKENS, WIDTH)
    given = [torch.randn(MAPPED, ROWS, HEADS, TOKENS, WIDTH), torch.randn(kv), torch.randn(kv)]
    if bias is not None:
        given.append(torch.randn(1, 1, *bias) if shared else torch.randn(MAPPED, *bias))
    for each in given:
        each.requires_grad_()
    dims = tuple(None if shared and n == 3 else 0 for n in range(4))

    def value(n: int | None) -> list[Tensor | None]:
        chosen = [each if n is None or dims[i] is None else each[n] for i, each in enumerate(given)]
        return [*chosen, *[None] * (4 - len(chosen))]

    if bias is None:
        found = vmap(lambda q, k, v: attended(q, k, v, None))(*given)
    else:
        found = vmap(attended, in_dims=dims)(*given)
    expected = torch.stack([attended(*value(n)) for n in range(MAPPED)])
    torch.testing.assert_close(found, expected)
    direction = torch.randn_like(found)
    ours, theirs = (
        torch.autograd.grad((each * direction).sum(), given) for each in (found, expected)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
