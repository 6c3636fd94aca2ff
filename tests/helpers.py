"""Tiny models, and an encoding's real hooks beside its oracle's view of the same layer.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, D = H·K.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import Mask, Visibility
from lightning_posenc.model.kernels import Operands
from lightning_posenc.positional import PositionalEncoding, Site
from lightning_posenc.positional.by_distance import ByDistance
from lightning_posenc.positions import Places, Positions
from tests.cases import CASES, METHODS, Case
from tests.oracles.base import Array, Given, Result

D_MODEL, N_HEADS, BATCH, LENGTH = 32, 4, 3, 10

each_method = pytest.mark.parametrize("case", METHODS, ids=lambda case: case.name)
each_bidirectional_case = pytest.mark.parametrize(
    "case", [case for case in CASES if not case.refused], ids=lambda case: case.name
)


def operands(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | ByDistance | None = None,
    visible: Visibility | Mask | Tensor | None = None,
    rescore: Callable[[Tensor], Tensor] | None = None,
    scale: float | None = None,
) -> Operands:
    """Operands of the usual scale, whose queries are the last of the keys."""
    if not isinstance(visible, Visibility):
        visible = Visibility(visible, q.shape[2], k.shape[2], q.device)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return Operands(q, k, v, bias, visible, rescore, scale)


def both_ways(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Each case in a bidirectional model, unless it is refused there, and in a causal one."""
    params = [
        pytest.param(case, causal, id=f"{case.name}-{'causal' if causal else 'bidirectional'}")
        for case in cases
        for causal in (False, True)
        if causal or not case.refused  # test_conformance.py: the refusal says why
    ]
    return pytest.mark.parametrize(("case", "causal"), params)


each_case_both_ways = both_ways(CASES)
each_method_both_ways = both_ways(METHODS)
both_directions = pytest.mark.parametrize("causal", [False, True], ids=["bidirectional", "causal"])


def dims(causal: bool, n_layers: int = 2) -> Dims:
    """Sizes of a tiny model."""
    return Dims(D_MODEL, N_HEADS, n_layers, causal)


def encoder(case: Case, causal: bool, n_layers: int = 2, **wiring: Any) -> Encoder:
    """A tiny model whose projections are large enough for attention to be far from uniform."""
    sampler = wiring.pop("positions", None) or case.positions()
    wiring = {"positions": Placed(case, sampler), "init_std": 0.2, **wiring}
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

    def forward(self, *args: Any) -> Tensor:
        return self.place(self.sampler(*args))


def drawn(case: Case, length: int = LENGTH) -> Tensor:
    """One draw (1, T) of positions, to be placed and used by every model that is compared."""
    return case.positions()(1, length, torch.device("cpu"))


def placed(case: Case, length: int = LENGTH) -> Tensor:
    """One draw of the positions that the case's encoding takes."""
    return case.place(drawn(case, length))


def counted(case: Case, length: int = LENGTH) -> Tensor:
    """0, 1, 2, …, placed."""
    return case.place(torch.arange(length).unsqueeze(0))


def gradients(loss: Tensor, model: Encoder) -> dict[str, Tensor]:
    """Gradient of every parameter, zeros where the loss does not depend on it."""
    named = dict(model.named_parameters())
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if grad is None else grad
        for (name, parameter), grad in zip(named.items(), grads, strict=True)
    }


def assert_same_gradients(
    outputs: Tensor, model: Encoder, others: Tensor, other: Encoder, atol: float
) -> None:
    """Hold the parameters' gradients of one random loss against another model's."""
    weights = torch.randn_like(outputs)
    ours = gradients((outputs * weights).sum(), model)
    theirs = gradients((others * weights).sum(), other)
    for name, grad in ours.items():
        assert torch.allclose(grad, theirs[name], rtol=1e-4, atol=atol), (
            f"{name}: off by {(grad - theirs[name]).abs().amax():.1e}"
        )


def site_of(
    encoding: PositionalEncoding,
    layer: int,
    x: Tensor,
    q: Tensor,
    k: Tensor,
    q_pos: Tensor,
    k_pos: Tensor,
    documents: Tensor | None = None,
) -> Site:
    """What the encoding sees in a layer, from the inputs (B, S, D) of all keys; the queries are
    the last of them."""
    keys = Places(k_pos, documents=documents)
    queries = keys if q_pos is k_pos else Places(q_pos)
    encoding.check(keys)
    prepared = encoding.prepare(queries, keys)
    here = x[:, x.shape[1] - q.shape[2] :]
    return Site(layer, here, x, q, k, values_of(k), queries, keys, prepared)


def values_of(x: Tensor) -> Tensor:
    """Values, or a mix of them, that differ from other numbers of their shape and are drawn from
    no generator."""
    return x.roll(1, dims=-1).neg()


def hooks(encoding: PositionalEncoding, site: Site, logits: Tensor) -> dict[str, Tensor | None]:
    """What all hooks return, by the names of `Result`."""
    q, k = encoding.transform(site)
    T, mixed = site.q.shape[2], values_of(site.q)
    return {
        "x": encoding.embed(site.x, site.q_pos, site.layer),
        "q": q,
        "k": k,
        "bias": encoding.bias(site),
        "logits": logits if (rescore := encoding.rescore(site)) is None else rescore(logits),
        "v": encoding.values(site),
        "mixed": encoding.output(
            site._replace(read_weights=lambda read: read(logits.softmax(-1), slice(0, T))), mixed
        ),
    }


def oracle_view(encoding: PositionalEncoding, site: Site, logits: Tensor) -> Given:
    """The same for the oracle."""
    batch = len(site.x)
    return Given(
        site.layer,
        encoding.dims.causal,
        _array(site.x),
        _array(site.k_x),
        _array(site.q),
        _array(site.k),
        _array(site.v),
        _array(site.q_pos.expand(batch, *site.q_pos.shape[1:])),
        _array(site.k_pos.expand(batch, *site.k_pos.shape[1:])),
        _array(logits),
        _array(logits.softmax(-1)),
        _array(values_of(site.q)),
        {
            name: _array(value)
            for name, value in encoding.state_dict().items()
            if isinstance(value, Tensor)
        },
        None if site.k_places.documents is None else site.k_places.documents.numpy(),
    )


def completed(result: Result, given: Given) -> dict[str, Array | None]:
    """An oracle's result with what it left alone filled in."""
    return {
        name: getattr(given, name, None) if value is None else value
        for name, value in result._asdict().items()
    }


def _array(tensor: Tensor) -> Array:
    return tensor.detach().double().numpy()
