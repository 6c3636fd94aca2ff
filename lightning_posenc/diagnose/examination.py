"""Everything that is measured of one model, by layer, and nothing that is concluded.

Shapes: B sequences, T tokens, D = d_model, H heads, L blocks.
"""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.catalogue.described import overridden
from lightning_posenc.data import Batch
from lightning_posenc.diagnose.costs import StepCost, measure_cost
from lightning_posenc.diagnose.evaluation import Evaluation, measure_evaluation
from lightning_posenc.diagnose.gradients import Gradients, measure_gradients
from lightning_posenc.diagnose.leaks import Leaks, measure_leaks
from lightning_posenc.diagnose.lengths import ScoresByLength, measure_lengths
from lightning_posenc.diagnose.order import ShuffleChanges, measure_order
from lightning_posenc.diagnose.precision import Precision, measure_precision
from lightning_posenc.diagnose.subject import OwnModel, Subject
from lightning_posenc.diagnose.tables import Tables, measure_tables
from lightning_posenc.diagnostics.measures.measure import measured
from lightning_posenc.diagnostics.observing.observe import Observation, observe
from lightning_posenc.diagnostics.quantities import MEASUREMENTS

FEW = 8  # sequences, below which nothing is said that compares some with others


class Examination(NamedTuple):
    """What was measured of one model; None where it cannot be.

    Args:
        name: Of the model.
        encoding: Class of its positional encoding, or of the model if it is not of this package.
        n_layers: L.
        causal: Whether a token sees only its past; None if nobody knows.
        length: T.
        parameters: Number of parameters.
        positional: Number of positional ones; None if nobody knows which they are.
        trainable: Number of the positional ones that are trained.
        steps: Optimizer steps that it was trained for; None if nobody knows.
        finite: Whether all states are finite numbers.
        pre_norm: Whether norms come before the branches; None if nobody knows.
        options: Arguments that the encoding's constructor takes, and their defaults.
        hooks: Hooks that the encoding overrides.
        by_layer: By quantity (`diagnostics/quantities.py`), a number for each layer or each of the
            L + 1 numbers of blocks passed; of attention, a list of its H heads' numbers, but for
            the L - 1 similarities of neighbouring layers. Without what was not seen.
        sizes: L + 1 sizes of the residual stream: the median over tokens of the root mean square
            over channels. Empty if it was not seen.
        evaluation: Scores at the trained length, as it is and under treatments.
        leaks: Whether tokens read what they must not.
        rate: Learning rate that it was trained at; None if nobody knows.
    """

    name: str
    encoding: str
    n_layers: int
    causal: bool | None
    length: int
    parameters: int
    positional: int | None
    trainable: int | None
    steps: int | None
    finite: bool
    pre_norm: bool | None
    options: dict[str, Any]
    hooks: tuple[str, ...]
    by_layer: Mapping[str, list[Any]]
    sizes: list[float]
    order: ShuffleChanges
    gradients: Gradients | None
    tables: Tables
    lengths: ScoresByLength
    precision: Precision | None
    cost: StepCost
    evaluation: Evaluation | None = None
    leaks: Leaks | None = None
    rate: float | None = None


def examine(subject: Subject) -> Examination:
    """Measure everything; the model is left as it was.

    Args:
        subject: A model in evaluation mode, and its sequences.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        # With gradients, so as to see whether a bias learns.
        own = subject if isinstance(subject, OwnModel) else None
        with torch.set_grad_enabled(own is not None), observe(subject.observed) as seen:
            outputs = subject.outputs(subject.batch)
        finite = all(bool(x.isfinite().all()) for x in (*seen.hidden, outputs))
        positional = own.module.positional if own else None
        return Examination(
            name=subject.name,
            encoding=type(positional or subject.observed).__name__,
            n_layers=len(seen.attention) or max(len(seen.hidden) - 1, 0),
            causal=own.encoder.dims.causal if own else None,
            length=subject.length,
            parameters=subject.parameters,
            positional=sum(p.numel() for p in positional.parameters()) if positional else None,
            trainable=(
                sum(p.numel() for p in positional.parameters() if p.requires_grad)
                if positional is not None
                else None
            ),
            steps=subject.steps,
            finite=finite,
            pre_norm=getattr(own.encoder.blocks[0], "pre_norm") if own else None,  # noqa: B009
            options=_options(own),
            hooks=_hooks(own),
            by_layer=_by_layer(seen, subject.batch) if finite else {},
            sizes=[_size(x, subject.batch.lengths) for x in seen.hidden] if finite else [],
            order=measure_order(subject),
            gradients=measure_gradients(own) if own and finite else None,
            tables=measure_tables(subject),
            lengths=measure_lengths(subject),
            precision=measure_precision(own) if own else None,
            cost=measure_cost(subject, seen.attention),
            evaluation=measure_evaluation(own) if own and finite else None,
            leaks=measure_leaks(own) if own and finite else None,
            rate=own.rate if own else None,
        )


@torch.no_grad()
def _by_layer(seen: Observation, batch: Batch) -> dict[str, list[Any]]:
    """Everything in the table that can be measured of one pass over these sequences."""
    found: dict[str, list[Any]] = {}
    for each in MEASUREMENTS:
        saw = seen.attention if each.sees_attention else seen.hidden
        if not saw or (each.compares_sequences and len(batch.tokens) < FEW):
            continue
        for name, layers in measured(each, seen, batch.lengths).items():
            found[name] = [x.tolist() if isinstance(x, Tensor) else x for x in layers.values()]
    return found


@torch.no_grad()
def _size(x: Tensor, lengths: Tensor | None) -> float:
    sizes = x.float().square().mean(dim=-1).sqrt()
    if lengths is not None:
        sizes = sizes[torch.arange(x.shape[1], device=x.device) < lengths[:, None]]
    return float(sizes.median())


def _options(own: OwnModel | None) -> dict[str, Any]:
    if own is None:
        return {}
    parameters = inspect.signature(type(own.module.positional)).parameters.values()
    return {each.name: each.default for each in parameters if each.name != "dims"}


def _hooks(own: OwnModel | None) -> tuple[str, ...]:
    if own is None:
        return ()
    return overridden(type(own.module.positional))
