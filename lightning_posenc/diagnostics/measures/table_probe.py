"""What does a table of positional embeddings know of positions and of their order?

Wang & Chen 2020 (arXiv:2010.04903, tables 1 and 2), as in their code (MiuLab/PE-Study).

Shapes: P positions, D channels.
"""

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked, whole
from lightning_posenc.diagnostics.measures.probe import fit_ridge

FOLDS = 5


@kinds_checked
@torch.no_grad()
def position_error(table: Tensor, seed: int = 0) -> Tensor:
    """Mean |round(predicted) - true| position of a linear regression, in tokens, 5-fold.

    Args:
        table: (P, D) embeddings of positions 0 … P - 1.
        seed: Of the folds.
    """
    whole(position_error, "seed", seed, 0, 2**63 - 1)
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))
    x, y = table[order.to(table.device)].double(), order.to(table).double()
    errors = []
    for train, test in _folds(len(x)):
        # Ordinary least squares, of which a vanishing penalty gives the shortest solution.
        predicted = fit_ridge(x[train], y[train], ridge=1e-10)(x[test])
        errors.append((predicted.round() - y[test]).abs().mean())
    return torch.stack(errors).mean()


@kinds_checked
def order_error(table: Tensor, n_pairs: int = 512, seed: int = 0) -> Tensor:
    """Share of pairs whose order a logistic regression on both embeddings gets wrong, 5-fold.

    Chance is about 0.5.

    Args:
        table: (P, D) embeddings of positions 0 … P - 1.
        n_pairs: Pairs drawn among all P², at most.
        seed: Of pairs and folds.
    """
    whole(order_error, "n_pairs", n_pairs)
    whole(order_error, "seed", seed, 0, 2**63 - 1)
    n = len(table)
    drawn = torch.randperm(n * n, generator=torch.Generator().manual_seed(seed))[:n_pairs]
    first, second = drawn.to(table.device) // n, drawn.to(table.device) % n
    x = torch.cat((table[first], table[second]), dim=-1).detach().double()
    later = second > first
    errors = []
    for train, test in _folds(len(x)):
        weight, intercept = fit_logistic(x[train], later[train])
        errors.append(((x[test] @ weight + intercept > 0) != later[test]).double().mean())
    return torch.stack(errors).mean()


def fit_logistic(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (D,) and intercept () that minimise Σ ln(1 + exp(∓z)) + ‖w‖²/2, as in scikit-learn.

    Args:
        x: (n, D) in float64.
        y: (n,) bool.
    """
    sign = torch.where(y, 1.0, -1.0).to(x)
    weight = x.new_zeros(x.shape[1], requires_grad=True)
    intercept = x.new_zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, intercept], max_iter=1000, tolerance_grad=1e-4, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        z = sign * (x @ weight + intercept)
        value = torch.nn.functional.softplus(-z).sum() + weight.square().sum() / 2
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return weight.detach(), intercept.detach()


def _folds(n: int) -> list[tuple[Tensor, Tensor]]:
    """Indices to fit and to try, FOLDS times."""
    ids = torch.arange(n)
    parts = ids.tensor_split(FOLDS)
    return [(ids[~torch.isin(ids, part)], part) for part in parts]
