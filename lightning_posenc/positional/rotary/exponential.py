"""The exponential of skew matrices, differentiable as often as one likes.

Shapes: b channels that turn together; generators and times broadcast with each other.
"""

import math
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.positions.recording import is_recorded


def exponential(generators: Tensor, times: Tensor) -> Tensor:
    """exp(t·G) of skew matrices G (…, b, b) and numbers t (…).

    With the eigenvalues of i·G, a real vector λ, exp(t·G) = V·exp(-i·t·λ)·V*: exact for any t, and
    many times faster than `torch.matrix_exp`. The gradient divides by no difference of eigenvalues,
    as that of `torch.linalg.eigh` does, but takes the limit where they coincide (Daleckii, Krein).
    Second derivatives and forward mode go by `torch.linalg.matrix_exp`, at its speed.
    """
    if is_recorded():  # a program knows no function of Python
        return _turned(generators, times)[0]
    result: Tensor = _exponential(generators, times)
    return result


def _turned(generators: Tensor, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The exponential, and the eigenvalues and eigenvectors of i·G."""
    values, vectors = torch.linalg.eigh(1j * generators)
    phases = torch.exp(-1j * (times[..., None] * values))
    result = ((vectors * phases[..., None, :]) @ vectors.mH).real
    return result.contiguous(), values, vectors


class _Exponential(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(generators: Tensor, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _turned(generators, times)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        generators, times, result, values, vectors = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody will differentiate what is computed here
            at = times[..., None, None]
            pulled = _slope(at * generators.mT, grad)
            of_times = (pulled * generators).sum((-2, -1))
            return _fit(at * pulled, generators), _fit(of_times, times)
        of_times = (grad * (generators @ result)).sum((-2, -1))
        half = times[..., None] * values / 2
        mean = half[..., :, None] + half[..., None, :]
        difference = half[..., :, None] - half[..., None, :]
        slopes = torch.sinc(difference / math.pi) * torch.exp(1j * mean) * times[..., None, None]
        inner = _fit(vectors.mH @ grad.to(vectors.dtype) @ vectors * slopes, vectors)
        return (vectors @ inner @ vectors.mH).real, _fit(of_times, times)

    @staticmethod
    def jvp(ctx: Any, of_generators: Tensor, of_times: Tensor) -> tuple[Tensor, None, None]:
        generators, times = ctx.saved_tensors
        at = times[..., None, None]
        direction = of_times[..., None, None] * generators + at * of_generators
        return _slope(at * generators, direction), None, None


@torch.compiler.allow_in_graph
def _exponential(generators: Tensor, times: Tensor) -> Tensor:
    result: Tensor = _Exponential.apply(generators, times)[0]
    return result


def _slope(matrix: Tensor, direction: Tensor) -> Tensor:
    """Fréchet's derivative of exp at A (…, b, b): it stands top right in exp [[A, E], [0, A]].

    (Higham 2008, "Functions of Matrices", equation 10.43.) That at Aᵀ is the adjoint of that at A.
    """
    matrix, direction = torch.broadcast_tensors(matrix, direction)
    below = torch.cat((torch.zeros_like(matrix), matrix), dim=-1)
    whole = torch.cat((torch.cat((matrix, direction), dim=-1), below), dim=-2)
    size = matrix.shape[-1]
    return torch.linalg.matrix_exp(whole)[..., :size, size:].contiguous()


def _fit(grad: Tensor, to: Tensor) -> Tensor:
    """The gradient of what was broadcast, summed to its shape."""
    return grad.sum_to_size(to.shape)
