"""The table of cases as parameters of tests; the models and sites themselves are the judge's."""

from collections.abc import Callable, Iterable

import pytest
from torch import Tensor

from lightning_posenc.masks import Mask, Visibility
from lightning_posenc.model.kernels import Operands
from lightning_posenc.positional.by_distance import ByDistance
from lightning_posenc.testing.models import (
    assert_same_gradients,
    counted,
    drawn,
    encoder,
    gradients,
    placed,
    tokens,
)
from lightning_posenc.testing.sites import completed, hooks, oracle_view, site_of, values_of
from lightning_posenc.testing.sizes import BATCH, D_MODEL, LENGTH, N_HEADS, dims
from tests.cases import CASES, METHODS, Case

__all__ = [
    "BATCH",
    "D_MODEL",
    "LENGTH",
    "N_HEADS",
    "assert_same_gradients",
    "completed",
    "counted",
    "dims",
    "drawn",
    "encoder",
    "gradients",
    "hooks",
    "operands",
    "oracle_view",
    "placed",
    "site_of",
    "tokens",
    "values_of",
]

each_method = pytest.mark.parametrize("case", METHODS, ids=lambda case: case.name)


def varies(case: Case) -> list[pytest.MarkDecorator]:
    """The mark of a case that is not the first of its class, scaling and sampler: it is slow."""
    return [] if case in METHODS else [pytest.mark.slow]


each_bidirectional_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=varies(case), id=case.name) for case in CASES if not case.refused],
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
        pytest.param(
            case,
            causal,
            marks=varies(case),
            id=f"{case.name}-{'causal' if causal else 'bidirectional'}",
        )
        for case in cases
        for causal in (False, True)
        if causal or not case.refused  # test_conformance.py: the refusal says why
    ]
    return pytest.mark.parametrize(("case", "causal"), params)


each_method_both_ways = both_ways(METHODS)
both_directions = pytest.mark.parametrize("causal", [False, True], ids=["bidirectional", "causal"])
