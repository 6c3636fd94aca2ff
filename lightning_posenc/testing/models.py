"""Tiny models, what they read, and how two of them are compared.

Shapes: B sequences, T tokens, D = d_model.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from lightning_posenc.model import Encoder
from lightning_posenc.positions import Positions, Sequences
from lightning_posenc.testing.case import Case
from lightning_posenc.testing.check import expect
from lightning_posenc.testing.sizes import BATCH, D_MODEL, LENGTH, dims


def encoder(case: Case, causal: bool, n_layers: int = 2, **wiring: Any) -> Encoder:
    """A tiny model whose projections are large enough for attention to be far from uniform."""
    sampler = wiring.pop("positions", None) or case.positions()
    wiring = {"positions": Placed(case, sampler), "init_std": 0.2, **wiring, **case.wiring}
    return Encoder(dims(causal, n_layers), case.factory, **wiring).eval()


def tokens(length: int = LENGTH, batch: int = BATCH) -> Tensor:
    """Embedded tokens (B, T, D)."""
    return torch.randn(batch, length, D_MODEL)


class Placed(Positions):
    """A sampler whose positions the case maps to those that its encoding takes."""

    def __init__(self, case: Case, sampler: Positions) -> None:
        super().__init__()
        self.place = case.place
        self.sampler = sampler

    def forward(self, sequences: Sequences) -> Tensor:
        return self.place(self.sampler(sequences))


def drawn(case: Case, length: int = LENGTH) -> Tensor:
    """One draw (1, T) of positions, to be placed and used by every model that is compared."""
    return case.positions()(Sequences(1, length, torch.device("cpu")))


def placed(case: Case, length: int = LENGTH) -> Tensor:
    """One draw of the positions that the case's encoding takes."""
    return case.place(drawn(case, length))


def counted(case: Case, length: int = LENGTH) -> Tensor:
    """0, 1, 2, …, placed."""
    return case.place(torch.arange(length).unsqueeze(0))


def gradients(loss: Tensor, model: torch.nn.Module) -> dict[str, Tensor]:
    """Gradient of every parameter, zeros where the loss does not depend on it."""
    named = dict(model.named_parameters())
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if grad is None else grad
        for (name, parameter), grad in zip(named.items(), grads, strict=True)
    }


def assert_same_gradients(
    outputs: Tensor, model: torch.nn.Module, others: Tensor, other: torch.nn.Module, atol: float
) -> None:
    """Hold the parameters' gradients of one random loss against another model's.

    Raises:
        AssertionError: Naming the first parameter whose gradient differs.
    """
    weights = torch.randn_like(outputs)
    ours = gradients((outputs * weights).sum(), model)
    theirs = gradients((others * weights).sum(), other)
    for name, grad in ours.items():
        expect(
            torch.allclose(grad, theirs[name], rtol=1e-4, atol=atol),
            f"gradient of {name}: off by {(grad - theirs[name]).abs().amax():.1e}",
        )


def expect_gradients(outputs: Tensor, parameters: dict[str, Parameter]) -> None:
    """Hold that one random loss of the outputs has a gradient in each parameter.

    Raises:
        AssertionError: Naming the first whose gradient is missing, 0 or not finite.
    """
    loss = (outputs * torch.randn_like(outputs)).sum()
    grads = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    for name, grad in zip(parameters, grads, strict=True):
        if grad is None:
            raise AssertionError(f"{name} has no gradient")
        expect(grad.isfinite().all(), f"{name} has a gradient that is not finite")
        expect(grad.any() or not grad.numel(), f"{name} has a gradient of nothing but 0")
