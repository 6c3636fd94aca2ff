"""Attention in the patterns of Longformer and BigBird is what Hugging Face's layers give."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import BigBird, Longformer, Mask
from lightning_posenc.model import Attention
from lightning_posenc.model.kernels import SDPA, Operands
from tests.peers.sparse import big_bird, longformer

B, T, D = 2, 768, 32
LENGTHS = torch.tensor([T, 601])
WHOLE = torch.tensor([T, T])  # theirs goes by the padded length


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mask", "peer", "lengths"),
    [(Longformer(17, 3), longformer, LENGTHS), (BigBird(16, 2, seed=5), big_bird, WHOLE)],
    ids=["longformer", "big-bird"],
)
def test_outputs_and_gradients(
    mask: Mask,
    peer: Callable[..., Tensor],
    lengths: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of all real tokens, and by all of them; ours computed by runs of queries."""
    runs, own = [], SDPA._all

    def spied(kernel: SDPA, given: Operands) -> Tensor:
        runs.append(given.q.shape[2])
        return own(kernel, given)

    monkeypatch.setattr(SDPA, "_all", spied)
    torch.manual_seed(0)
    model = Encoder(Dims(D, 4, 1), mask=mask, init_std=0.3).eval()
    (mixer,) = model.mixers
    assert isinstance(mixer, Attention)
    seen: list[Tensor] = []
    mixer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    mixer.out.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(torch.randn(B, T, D), lengths=lengths)
    x, ours = seen
    assert runs == [64] * 12
    theirs = peer(mixer, mask, x, lengths)
    real = (torch.arange(T) < lengths[:, None])[..., None]
    torch.testing.assert_close(ours * real, theirs * real, rtol=0, atol=1e-4)
    weights = torch.randn_like(x) * real
    found = [torch.autograd.grad((out * weights).sum(), x)[0] for out in (ours, theirs)]
    torch.testing.assert_close(*found, rtol=0, atol=1e-4)
    print(
        "largest differences:",
        [(a - b).abs().max().item() for a, b in ((ours * real, theirs * real), found)],
    )
