"""Does another package's model get the positions that it was trained with?

Asked of the files (`pretrained.doubts`), of the model, whose answers must depend on positions and
not on padding, and of its loss, which must not fall when positions are changed.

Shapes: B sequences, T tokens.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.diagnose.subject import OtherModel
from lightning_posenc.pretrained.calling import takes, uncached
from lightning_posenc.pretrained.doubts import Doubt, doubts
from lightning_posenc.pretrained.evaluating.intervals import Interval, difference
from lightning_posenc.pretrained.evaluating.losses import losses
from lightning_posenc.pretrained.frequencies import FrequencyMap, turned
from lightning_posenc.pretrained.implied import implied
from lightning_posenc.pretrained.telling import Said, scaling_applied, told
from lightning_posenc.pretrained.where_positions import (
    InRotation,
    InTable,
    WherePositions,
    what_positions,
)

PADS = 5  # tokens of padding before a sequence
SHIFTS = (-3, -2, -1, 1, 2, 3)  # rows; conversions lose or count twice an offset of 1 or 2
BASES = (10_000.0, 100_000.0, 500_000.0, 1_000_000.0)  # of the families that people have
STRETCHES = (0.125, 0.25, 0.5, 2.0, 4.0, 8.0)
FEW_PAIRS = 4  # below which a rotation tells near from far at most, whatever its base
LEVEL = 0.999  # of the interval of a gain, of which there are up to 12


class Gain(NamedTuple):
    """What a change of positions takes off the loss.

    Args:
        change: The change, in words.
        nats: Mean over sequences, and bounds; above 0 where the loss falls.
    """

    change: str
    nats: Interval


class PaddingEffect(NamedTuple):
    """What padding does to the answers at real tokens.

    Args:
        side: Where the tokenizer pads: "left" or "right".
        change: Root mean square of the change over the spread.
        read: The same between two paddings, of different tokens: 0 where the mask hides them.
    """

    side: str
    change: float
    read: float


class Whereabouts(NamedTuple):
    """What was found out about the positions of another package's model.

    Args:
        told: How it knows order, in sentences.
        applied: Whether a scaling was applied; None where there is nothing to scale.
        doubts: What is not as its files say, the worst first.
        felt: Change of the answers when every token is told another position, over their spread;
            None if none can be told.
        counted: The same when each is told the position that its family counts.
        still: Why answers may not feel positions by design; empty if there is no such reason.
        apart: Tokens that the slowest pair takes for a turn, over the trained length; None if the
            model has no rotary map.
        padding: None where nothing is padded.
        loss: In nats, without a change; None where there is no text.
        gains: Of the changes that were tried, the largest first.
    """

    told: tuple[Said, ...]
    applied: str | None
    doubts: tuple[Doubt, ...]
    felt: float | None = None
    counted: float | None = None
    still: str = ""
    apart: float | None = None
    padding: PaddingEffect | None = None
    loss: float | None = None
    gains: tuple[Gain, ...] = ()


@torch.no_grad()
def measure_whereabouts(subject: OtherModel) -> Whereabouts:
    """Ask everything; the model is left as it was."""
    pretrained = subject.pretrained
    positions = what_positions(pretrained.model)
    counted, felt = _told_positions(subject, positions)
    loss, gains = _gains(subject, positions)
    found = tuple(doubts(pretrained.model, pretrained.contents))
    return Whereabouts(
        told=tuple(told(positions)),
        applied=scaling_applied(positions, found),
        doubts=found,
        felt=felt,
        counted=counted,
        still=_by_design(positions),
        apart=_apart(positions),
        padding=_padding(subject, positions),
        loss=loss,
        gains=gains,
    )


def _told_positions(
    subject: OtherModel, positions: WherePositions
) -> tuple[float | None, float | None]:
    """Changes under the positions that the family counts, and under others."""
    if not isinstance(positions, InRotation | InTable) or not takes(
        subject.observed, "position_ids"
    ):
        return None, None
    tokens = _without_pads(subject)
    n_tokens = tokens.shape[1]
    first = positions.first if isinstance(positions, InTable) else 0
    own = first + torch.arange(n_tokens, device=tokens.device)[None]
    generator = torch.Generator().manual_seed(0)
    other = own[:, torch.randperm(n_tokens, generator=generator).to(tokens.device)]
    before = _states(subject, tokens)
    changes = [
        _change(before, _states(subject, tokens, position_ids=given.expand(len(tokens), -1)))
        for given in (own, other)
    ]
    return changes[0], changes[1]


def _without_pads(subject: OtherModel) -> Tensor:
    """A few sequences in which no token is that of padding, which some families do not count."""
    tokens = subject.few.tokens
    pad = getattr(subject.pretrained.config, "pad_token_id", None)
    return tokens if pad is None else tokens.masked_fill(tokens == pad, 1 if pad == 0 else 0)


def _by_design(positions: WherePositions) -> str:
    if isinstance(positions, InRotation) and all(
        implied(each).scaling == "no rotation" and each.kind == "proportional"
        for each in positions.maps.values()
    ):
        return "its config turns no pair (proportional, as of DroPE)"
    return ""


def _apart(positions: WherePositions) -> float | None:
    """Of the layers that see farthest, the slowest pair's turn over the trained length."""
    if not isinstance(positions, InRotation):
        return None
    found = []
    for key, each in positions.maps.items():
        length = positions.lengths.get(key)
        turns = each.wavelengths[each.wavelengths.isfinite()]
        if length and len(turns) >= FEW_PAIRS:
            found.append(float(turns.max()) / length)
    return max(found, default=None)


def _padding(subject: OtherModel, positions: WherePositions) -> PaddingEffect | None:
    """Pad as the tokenizer does, with its mask, and compare the real tokens."""
    tokenizer = subject.pretrained.tokenizer
    if tokenizer is None or not takes(subject.observed, "attention_mask"):
        return None
    side = str(getattr(tokenizer, "padding_side", "right"))
    pad = getattr(tokenizer, "pad_token_id", None)
    limit = positions.trained_length or subject.length
    # Room for the padding, and as much again: an ill model may begin late in its table.
    n_tokens = min(subject.few.tokens.shape[1], limit - 2 * PADS)
    if n_tokens < 2:
        return None
    tokens = _without_pads(subject)[:, :n_tokens]
    pads = tokens.new_full((len(tokens), PADS), 0 if pad is None else pad)
    left = side == "left"
    padded = torch.cat([pads, tokens] if left else [tokens, pads], dim=1)
    mask = torch.cat(
        [torch.zeros_like(pads), torch.ones_like(tokens)]
        if left
        else [torch.ones_like(tokens), torch.zeros_like(pads)],
        dim=1,
    )
    real = slice(PADS, None) if left else slice(n_tokens)
    alone = _states(subject, tokens)
    under = _states(subject, padded, attention_mask=mask)[:, real]
    change = _change(alone, under)
    other = torch.where(mask.bool(), padded, (padded + 1) % subject.pretrained.config.vocab_size)
    under_other = _states(subject, other, attention_mask=mask)[:, real]
    return PaddingEffect(side, change, _change(under, under_other))


def _gains(subject: OtherModel, positions: WherePositions) -> tuple[float | None, tuple[Gain, ...]]:
    """The loss of the text as it is, and what each change of positions takes off it."""
    pretrained = subject.pretrained
    if not subject.texts or not pretrained.has_head or pretrained.kind not in ("causal", "masked"):
        return None, ()
    tokens = subject.few.tokens

    def scored() -> Tensor:
        return losses(pretrained, tokens).nanmean(dim=1)

    as_it_is = scored()
    gains = []
    for change, changed in _changes(pretrained.model, positions):
        with changed():
            gains.append(Gain(change, difference(as_it_is, scored(), LEVEL)))
    gains.sort(key=lambda gain: -gain.nats.mean)
    return float(as_it_is.mean()), tuple(gains)


Changed = Callable[[], AbstractContextManager[Any]]


def _changes(model: nn.Module, positions: WherePositions) -> Iterator[tuple[str, Changed]]:
    """Ways in which positions may differ between training and now, undone one at a time."""
    if isinstance(positions, InTable):
        for k in SHIFTS:
            said = f"the table read from row {positions.offset + k} on"
            yield said, partial(_rolled, model, positions, k)
    if not isinstance(positions, InRotation):
        return
    maps = positions.maps
    bases = [*BASES, *(each.base for each in maps.values() if each.base)]
    for base in dict.fromkeys(bases):
        geometric = {key: _geometric(each, base) for key, each in maps.items()}
        if not all(_same(geometric[key], each) for key, each in maps.items()):
            yield (
                f"unscaled frequencies of base {base:,.0f}",
                partial(turned, model, geometric),
            )
    for factor in STRETCHES:
        stretched = {
            key: each._replace(inv_freq=each.inv_freq * factor) for key, each in maps.items()
        }
        yield f"positions times {factor:g}", partial(turned, model, stretched)


def _geometric(each: FrequencyMap, base: float) -> FrequencyMap:
    n = len(each.inv_freq)
    theta = base ** (-torch.arange(n, dtype=torch.float64) / n)
    theta[each.inv_freq == 0] = 0  # pairs that turn nowhere, by design
    return FrequencyMap(theta.float(), 1.0, base)


def _same(a: FrequencyMap, b: FrequencyMap) -> bool:
    return (
        torch.allclose(a.inv_freq, b.inv_freq, rtol=1e-3, atol=0) and a.temperature == b.temperature
    )


@contextmanager
def _rolled(model: nn.Module, table: InTable, k: int) -> Iterator[None]:
    """Within, the position i reads what stands k rows further; the ends stay."""
    held = [model.get_parameter(name) for name in table.names]
    before = [parameter.detach().clone() for parameter in held]
    try:
        for parameter, rows in zip(held, before, strict=True):
            n = rows.shape[-2]
            index = torch.arange(n, device=rows.device)
            index[table.offset :] = (index[table.offset :] + k).clamp(0, n - 1)
            parameter.copy_(rows.index_select(-2, index))
        yield
    finally:
        for parameter, rows in zip(held, before, strict=True):
            parameter.copy_(rows)


def _states(subject: OtherModel, tokens: Tensor, **given: Tensor) -> Tensor:
    """Hidden states (B, T, D), float32."""
    more = uncached(subject.observed)
    if takes(subject.observed, "attention_mask"):
        # Without one, the library takes positions that do not grow for several packed documents.
        given.setdefault("attention_mask", torch.ones_like(tokens))
    return subject.observed(input_ids=tokens, **more, **given).last_hidden_state.float()


def _change(before: Tensor, after: Tensor) -> float:
    """Root mean square of the change over the spread about each token's mean."""
    spread = (before - before.mean(dim=-1, keepdim=True)).square().mean().sqrt()
    return float((after - before).square().mean().sqrt() / spread.clamp_min(1e-12))
