"""Everything that is measured of one model, by layer, and nothing that is concluded.

Shapes: B sequences, T tokens, D = d_model, H heads, L blocks.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.catalogue.described import HOOKS
from lightning_posenc.diagnose.bands import LayerBands, measure_bands, planes_of_other
from lightning_posenc.diagnose.costs import (
    AttentionCost,
    StepCost,
    measure_cost,
    sequences_of,
    taken_by,
)
from lightning_posenc.diagnose.dilution import Dilution, measure_dilution
from lightning_posenc.diagnose.evaluation import Evaluation, measure_evaluation
from lightning_posenc.diagnose.gradients import Gradients, measure_gradients
from lightning_posenc.diagnose.heads import HeadRole, measure_heads
from lightning_posenc.diagnose.language import Language, measure_language
from lightning_posenc.diagnose.leaks import Leaks, measure_leaks, measure_other_leaks
from lightning_posenc.diagnose.lengths import ScoresByLength, measure_lengths
from lightning_posenc.diagnose.locality import Locality, measure_locality
from lightning_posenc.diagnose.long_pass import FEW, Passed, long_pass
from lightning_posenc.diagnose.massive import Largest, largest
from lightning_posenc.diagnose.order import ShuffleChanges, measure_order
from lightning_posenc.diagnose.other_gradients import measure_other_gradients
from lightning_posenc.diagnose.other_positions import positional_parameters, precision_of
from lightning_posenc.diagnose.position_curve import PositionCurve, measure_position_curve
from lightning_posenc.diagnose.precision import Precision, measure_precision
from lightning_posenc.diagnose.shift import ShiftChanges, measure_shift
from lightning_posenc.diagnose.source import SourceReading, measure_source
from lightning_posenc.diagnose.subject import OtherModel, OwnModel, Subject
from lightning_posenc.diagnose.tables import Tables, measure_tables
from lightning_posenc.diagnose.whereabouts import Whereabouts, measure_whereabouts
from lightning_posenc.diagnostics.measures.massive import massive_activation
from lightning_posenc.diagnostics.measures.measure import measured
from lightning_posenc.diagnostics.observing.observe import Observation, observe
from lightning_posenc.diagnostics.quantities import MEASUREMENTS
from lightning_posenc.model.kernels import Kernels
from lightning_posenc.model.mixers import Mixer
from lightning_posenc.positional import Droppable
from lightning_posenc.positional.base import overridden
from lightning_posenc.pretrained.reading import quiet
from lightning_posenc.pretrained.where_positions import (
    Buckets,
    InRotation,
    Slopes,
    Unknown,
    WherePositions,
    what_positions,
)


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
        hooks: Hooks that the encoding overrides; none of one that was dropped.
        by_layer: By quantity (`diagnostics/quantities.py`), a number for each layer or each of the
            L + 1 numbers of blocks passed; of attention, a list of its H heads' numbers, but for
            the L - 1 similarities of neighbouring layers. Without what was not seen.
        sizes: L + 1 sizes of the residual stream: the median over tokens of the root mean square
            over channels. Empty if it was not seen.
        evaluation: Scores at the trained length, as it is and under treatments.
        leaks: Whether tokens read what they must not.
        rate: Learning rate that it was trained at; None if nobody knows.
        positions: How a model of Hugging Face knows order; None of one of this package.
        language: What such a model makes of text; None likewise.
        whereabouts: Whether such a model gets the positions of its training; None likewise.
        mixers: Classes of the mixers of a model of this package, each once; of another, none.
        source: What a decoder makes of its source; None of a model that has none.
        grid: Rows and columns of the grid of an image's patches; None where tokens are on none.
        dilution: How attention changes with length; None where it was not seen at two lengths.
        bands: What the planes of a rotation do, by the layers that turn by fixed frequencies.
        largest: L + 1 largest activations of the residual stream; none if it was not seen.
        shift: What adding a constant to all positions changes; None of another package's model,
            whose section has it.
        curve: Accuracy by where the answer stands; None where the data do not tell.
        locality: By length, whether logits prefer near keys and keep the order of two keys.
        heads: What each head is for, and what it costs to be without; empty if nobody knows.
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
    positions: WherePositions | None = None
    language: Language | None = None
    whereabouts: Whereabouts | None = None
    mixers: tuple[type[Mixer], ...] = ()
    source: SourceReading | None = None
    grid: tuple[int, int] | None = None
    dilution: Dilution | None = None
    bands: Mapping[int, LayerBands] = MappingProxyType({})
    largest: Sequence[Largest] = ()
    shift: ShiftChanges | None = None
    curve: PositionCurve | None = None
    locality: Mapping[int, Locality] = MappingProxyType({})
    heads: tuple[HeadRole, ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether it is a model of this package."""
        return self.positions is None

    @property
    def hidden_positions(self) -> str | None:
        """Why nobody knows how this model knows order; None where somebody does."""
        return self.positions.reason if isinstance(self.positions, Unknown) else None

    @property
    def attends_by_position(self) -> bool:
        """Whether position reaches what mixes tokens by another way than the residual stream."""
        if self.is_own:
            return bool({*self.hooks} - {"embed"})
        return isinstance(self.positions, InRotation | Slopes | Buckets)


def examine(subject: Subject) -> Examination:
    """Measure everything; the model is left as it was.

    Args:
        subject: A model in evaluation mode, and its sequences.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        if isinstance(subject, OwnModel):
            return _examine_own(subject)
        assert isinstance(subject, OtherModel)
        with quiet():
            return _examine_other(subject)


def _examine_own(own: OwnModel) -> Examination:
    passed = _pass(own)
    finite, positional = passed.finite, own.module.positional
    dropped = isinstance(positional, Droppable) and positional.dropped
    return Examination(
        name=own.name,
        encoding=type(positional).__name__,
        n_layers=passed.n_layers,
        causal=own.encoder.dims.causal,
        length=own.length,
        parameters=own.parameters,
        positional=_count(own.positional_parameters),
        trainable=_count(p for p in own.positional_parameters if p.requires_grad),
        steps=own.steps,
        finite=finite,
        pre_norm=getattr(own.encoder.blocks[0], "pre_norm"),  # noqa: B009
        options=_options(own),
        hooks=() if dropped else overridden(type(positional), HOOKS),
        by_layer=passed.by_layer,
        sizes=passed.sizes,
        order=measure_order(own),
        gradients=measure_gradients(own, passed.by_layer.get("attn/max_logit")) if finite else None,
        tables=measure_tables(own),
        lengths=measure_lengths(own),
        precision=measure_precision(own),
        cost=measure_cost(own, passed.taken),
        evaluation=measure_evaluation(own) if finite else None,
        leaks=measure_leaks(own) if finite else None,
        rate=own.rate,
        mixers=tuple(dict.fromkeys(map(type, own.encoder.mixers))),
        source=measure_source(own) if finite else None,
        grid=own.grid,
        dilution=measure_dilution(own) if finite else None,
        bands=passed.bands,
        largest=passed.largest,
        shift=measure_shift(own) if finite else None,
        curve=measure_position_curve(own) if finite else None,
        locality=measure_locality(own) if finite else {},
        heads=measure_heads(own) if finite else (),
    )


def _examine_other(other: OtherModel) -> Examination:
    """The same of another package's model, as far as it has a meaning there."""
    model = other.pretrained.model
    positions = what_positions(model)
    parameters = positional_parameters(model, positions)
    language = measure_language(other)
    passed = long_pass(other, planes_of_other(other, positions))
    ours = None if parameters is None else list(parameters.values())
    return Examination(
        name=other.name,
        encoding=type(other.observed).__name__,
        n_layers=passed.n_layers,
        causal=True if other.pretrained.kind == "causal" else None,
        length=other.length,
        parameters=other.parameters,
        positional=None if ours is None else _count(ours),
        trainable=None if ours is None else _count(p for p in ours if p.requires_grad),
        steps=None,
        finite=passed.finite,
        pre_norm=None,
        options={},
        hooks=(),
        by_layer=passed.by_layer,
        sizes=passed.sizes,
        order=measure_order(other),
        gradients=measure_other_gradients(other, positions, parameters) if passed.finite else None,
        tables=measure_tables(other),
        lengths=measure_lengths(other),
        precision=precision_of(model, positions),
        cost=measure_cost(other, passed.taken),
        leaks=measure_other_leaks(other) if passed.finite else None,
        positions=positions,
        language=language,
        whereabouts=measure_whereabouts(other),
        dilution=measure_dilution(other) if passed.finite else None,
        bands=passed.bands,
        largest=passed.largest,
        heads=measure_heads(other) if passed.finite else (),
    )


def _pass(own: OwnModel) -> Passed:
    """One pass over the examined sequences, all layers kept: with gradients, so as to see whether a
    bias learns.
    """
    kernels = next((each for each in own.observed.modules() if isinstance(each, Kernels)), None)
    with torch.enable_grad(), observe(own.observed) as seen:
        outputs = own.outputs(own.batch)
    finite = all(bool(x.isfinite().all()) for x in (*seen.hidden, outputs))
    lengths = own.token_lengths(own.batch)
    read = None if own.vocab_size is None else own.batch.tokens
    attend = [any(isinstance(m, Kernels) for m in of.modules()) for of in own.encoder.mixers]
    taken: list[AttentionCost] = [
        taken_by(operands, sequences_of(own) * seen.windows, kernels)
        for layer, operands in zip(seen.layers, seen.attention, strict=True)
        if attend[layer]  # others tell by what they weigh, and do not compute it so
    ]
    return Passed(
        _by_layer(seen, lengths, len(own.batch.tokens)) if finite else {},
        [_size(x, lengths) for x in seen.hidden] if finite else [],
        finite,
        len(own.encoder.blocks),
        taken,
        measure_bands(seen, lengths) if finite else {},
        largest([massive_activation(x, lengths) for x in seen.hidden], read) if finite else (),
    )


def _count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


@torch.no_grad()
def _by_layer(seen: Observation, lengths: Tensor | None, n_sequences: int) -> dict[str, list[Any]]:
    """Everything in the table that can be measured of one pass over these sequences."""
    found: dict[str, list[Any]] = {}
    for each in MEASUREMENTS:
        if not getattr(seen, each.sees) or (each.compares_sequences and n_sequences < FEW):
            continue
        for name, layers in measured(each, seen, lengths).items():
            found[name] = [x.tolist() if isinstance(x, Tensor) else x for x in layers.values()]
    return found


@torch.no_grad()
def _size(x: Tensor, lengths: Tensor | None) -> float:
    sizes = x.float().square().mean(dim=-1).sqrt()
    if lengths is not None:
        sizes = sizes[torch.arange(x.shape[1], device=x.device) < lengths[:, None]]
    return float(sizes.median())


def _options(own: OwnModel) -> dict[str, Any]:
    parameters = inspect.signature(type(own.module.positional)).parameters.values()
    return {each.name: each.default for each in parameters if each.name != "dims"}
