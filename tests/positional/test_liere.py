"""The exponential of skew matrices, values and gradients."""

from functools import partial

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import Attention, Eager
from lightning_posenc.positional import LieRE
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


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # of torch's own
@pytest.mark.parametrize("repeated", [False, True], ids=["apart", "coinciding"])
def test_second_derivatives_and_forward_mode(repeated: bool) -> None:
    """F7: a Hessian came out as if the first derivative were constant."""

    def turned(upper: Tensor, times: Tensor) -> Tensor:
        return exponential(upper - upper.mT, times)

    upper = torch.randn(2, 1, 3, 3, dtype=torch.float64) * (0.0 if repeated else 1.0)
    times = torch.randn(2, 3, dtype=torch.float64)
    inputs = (upper.requires_grad_(), times.requires_grad_())
    assert torch.autograd.gradcheck(turned, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(turned, inputs)


def test_hessian_vector_product_of_a_model() -> None:
    """F7: v·H·v by double backward is what differences of the gradient say."""
    dims = Dims(16, 2, 1, causal=True)
    model = (
        Encoder(dims, partial(LieRE, block=4), mixer=partial(Attention, kernel=Eager), init_std=0.4)
        .double()
        .eval()
    )
    x, generators = torch.randn(2, 5, 16, dtype=torch.float64), model.positional.generators
    v = torch.randn_like(generators)

    def slope() -> Tensor:
        (grad,) = torch.autograd.grad(model(x).square().sum(), generators, create_graph=True)
        (second,) = torch.autograd.grad((grad * v).sum(), generators)
        return torch.stack([(grad * v).sum(), (second * v).sum()]).detach()

    found, step = slope(), 1e-4
    with torch.no_grad():
        generators.add_(v, alpha=step)
    above = slope()
    with torch.no_grad():
        generators.sub_(v, alpha=2 * step)
    torch.testing.assert_close(found[1], (above - slope())[0] / (2 * step), rtol=1e-4, atol=1e-4)


def test_stays_a_rotation_far_out() -> None:
    generators, times = skew(8, 8), torch.tensor([2.0**20], dtype=torch.float64)
    rotation = exponential(generators, times)[0]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(8, dtype=torch.float64))
