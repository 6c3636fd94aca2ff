"""Everything that is measured of one model, by layer, and nothing that is concluded.

Shapes: B sequences, T tokens, D = d_model, H heads, L blocks.
"""

import inspect
import itertools
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.catalogue.described import overridden
from lightning_posenc.data import Batch
from lightning_posenc.diagnose.costs import Cost, measure_cost
from lightning_posenc.diagnose.evaluation import Evaluation, measure_evaluation
from lightning_posenc.diagnose.gradients import Gradients, measure_gradients
from lightning_posenc.diagnose.leaks import Leaks, measure_leaks
from lightning_posenc.diagnose.lengths import Lengths, measure_lengths
from lightning_posenc.diagnose.order import Order, measure_order
from lightning_posenc.diagnose.precision import Precision, measure_precision
from lightning_posenc.diagnose.subject import OwnPatient, Patient
from lightning_posenc.diagnose.tables import Tables, measure_tables
from lightning_posenc.diagnostics.measures.attention_summary import summarise
from lightning_posenc.diagnostics.measures.positional_share import positional_share
from lightning_posenc.diagnostics.measures.probe import probe_positions
from lightning_posenc.diagnostics.measures.rank import effective_rank, residual_ratio, token_cosine
from lightning_posenc.diagnostics.measures.similarity import layer_similarity
from lightning_posenc.diagnostics.observing.observe import Observation, observe

HELD_OUT = 4  # a probe is tried on every fourth sequence, and fitted to the others


class Attention(NamedTuple):
    """Attention by layer, each a list of L lists of H numbers; see `AttentionSummary`."""

    entropy: list[list[float]]
    normalised_entropy: list[list[float]]
    distance: list[list[float]]
    sink: list[list[float]]
    max_logit: list[list[float]]
    offset_share: list[list[float]]
    similarity: list[float]
    """L - 1 similarities of a layer's attention and the next one's, in [0, 1]."""


class Stream(NamedTuple):
    """The residual stream: L + 1 numbers each, before block 0 and after each block."""

    size: list[float]
    """Median over tokens of the root mean square over channels."""
    residual_ratio: list[float]
    token_cosine: list[float]
    effective_rank: list[float]
    positional_share: list[float]
    probe: list[float]
    """Mean absolute error of a linear probe of position, over T: 0 exact, 0.25 chance."""


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
    attention: Attention | None
    stream: Stream | None
    order: Order
    gradients: Gradients | None
    tables: Tables
    lengths: Lengths
    precision: Precision | None
    cost: Cost
    evaluation: Evaluation | None = None
    leaks: Leaks | None = None
    rate: float | None = None


def examine(patient: Patient) -> Examination:
    """Measure everything; the model is left as it was.

    Args:
        patient: A model in evaluation mode, and its sequences.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        # With gradients, so as to see whether a bias learns.
        own = patient if isinstance(patient, OwnPatient) else None
        with torch.set_grad_enabled(own is not None), observe(patient.observed) as seen:
            outputs = patient.outputs(patient.batch)
        finite = all(bool(x.isfinite().all()) for x in (*seen.hidden, outputs))
        positional = own.module.positional if own else None
        return Examination(
            name=patient.name,
            encoding=type(positional or patient.observed).__name__,
            n_layers=len(seen.attention) or max(len(seen.hidden) - 1, 0),
            causal=own.encoder.dims.causal if own else None,
            length=patient.length,
            parameters=patient.parameters,
            positional=sum(p.numel() for p in positional.parameters()) if positional else None,
            trainable=(
                sum(p.numel() for p in positional.parameters() if p.requires_grad)
                if positional is not None
                else None
            ),
            steps=patient.steps,
            finite=finite,
            pre_norm=getattr(own.encoder.blocks[0], "pre_norm") if own else None,  # noqa: B009
            options=_options(own),
            hooks=_hooks(own),
            attention=_attention(seen, patient.batch) if seen.attention and finite else None,
            stream=_stream(seen.hidden, patient.batch) if seen.hidden and finite else None,
            order=measure_order(patient),
            gradients=measure_gradients(own) if own and finite else None,
            tables=measure_tables(patient),
            lengths=measure_lengths(patient),
            precision=measure_precision(own) if own else None,
            cost=measure_cost(patient, seen.attention),
            evaluation=measure_evaluation(own) if own and finite else None,
            leaks=measure_leaks(own) if own and finite else None,
            rate=own.rate if own else None,
        )


def _attention(seen: Observation, batch: Batch) -> Attention:
    views, lengths = seen.attention, batch.lengths
    found = [summarise(view, lengths) for view in views]
    columns = [[values.tolist() for values in column] for column in zip(*found, strict=True)]
    similarity = [
        layer_similarity(first, second, lengths=lengths)
        for first, second in itertools.pairwise(views)
    ]
    return Attention._make([*columns, similarity])


@torch.no_grad()
def _stream(hidden: list[Tensor], batch: Batch) -> Stream:
    lengths, length = batch.lengths, batch.tokens.shape[1]
    states = [x.float() for x in hidden]
    several = len(batch.tokens) >= 2 * HELD_OUT
    return Stream(
        size=[_size(x, lengths) for x in states],
        residual_ratio=[residual_ratio(x, lengths) for x in states],
        token_cosine=[token_cosine(x, lengths) for x in states],
        effective_rank=[effective_rank(x, lengths) for x in states],
        positional_share=[positional_share(x, lengths) for x in states] if several else [],
        probe=[_probe(x, lengths) / length for x in states] if several else [],
    )


def _size(x: Tensor, lengths: Tensor | None) -> float:
    sizes = x.square().mean(dim=-1).sqrt()
    if lengths is not None:
        sizes = sizes[torch.arange(x.shape[1], device=x.device) < lengths[:, None]]
    return float(sizes.median())


def _probe(x: Tensor, lengths: Tensor | None) -> float:
    test = torch.arange(len(x)) % HELD_OUT == 0
    ends = (None, None) if lengths is None else (lengths[~test], lengths[test])
    return probe_positions(x[~test], x[test], train_lengths=ends[0], test_lengths=ends[1]).mae


def _options(own: OwnPatient | None) -> dict[str, Any]:
    if own is None:
        return {}
    parameters = inspect.signature(type(own.module.positional)).parameters.values()
    return {each.name: each.default for each in parameters if each.name != "dims"}


def _hooks(own: OwnPatient | None) -> tuple[str, ...]:
    if own is None:
        return ()
    return overridden(type(own.module.positional))
