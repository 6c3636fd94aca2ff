"""The exponential of skew matrices, values and gradients."""

import torch
from torch import Tensor

from lightning_posenc.positional.rotary.exponential import exponential


def skew(*shape: int) -> Tensor:
    matrix = torch.randn(*shape, dtype=torch.float64)
    return matrix - matrix.mT


def test_equals_matrix_exp_and_its_gradients() -> None:
    generators, times = skew(3, 1, 4, 4), torch.randn(3, 5, dtype=torch.float64)
    inputs = (generators.requires_grad_(), times.requires_grad_())
    ours = exponential(*inputs)
    expected = torch.linalg.matrix_exp(times[..., None, None] * generators)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    weights = torch.randn_like(ours)
    grads, wanted = (torch.autograd.grad((out * weights).sum(), inputs) for out in (ours, expected))
    torch.testing.assert_close(grads[0] - grads[0].mT, wanted[0] - wanted[0].mT)
    torch.testing.assert_close(grads[1], wanted[1])


def test_gradients_where_eigenvalues_coincide() -> None:
    """At the zero matrix all eigenvalues do; the gradient there is that of I + G."""
    generators = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(4, 4, dtype=torch.float64)
    out = exponential(generators, torch.ones((), dtype=torch.float64))
    (grad,) = torch.autograd.grad((out * weights).sum(), generators)
    torch.testing.assert_close(grad, weights)


def test_stays_a_rotation_far_out() -> None:
    generators, times = skew(8, 8), torch.tensor([2.0**20], dtype=torch.float64)
    rotation = exponential(generators, times)[0]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(8, dtype=torch.float64))
