"""What shows that a saved model is the one that was meant.

Shapes: B sequences, n tokens, n pairs of channels that turn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.pretrained.frequencies import FrequencyMap
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.pretrained.where_positions import InRotation, InTable, what_positions

N_TOKENS = 32  # of a trial
MOST_TOKENS = 2048  # of a trial that reads a whole table
FREQUENCIES = 1e-5  # largest relative difference of frequencies that are the same
LOGITS = 2e-3  # and of logits, in shares of the largest: angles far away are coarse in float32


@dataclass(frozen=True)
class Proof:
    """How the saved model compares with the one before, and with itself.

    Differences are of logits (of a model without a head, of hidden states), as shares of the
    largest of them.

    Args:
        before: Frequencies by layer type, as the model was read; empty if none turn.
        after: As the saved model has them when it is read again.
        frequencies: Largest relative difference between those meant and `after`.
        short: What the method changed of the first tokens, within the trained length.
        reloaded: Largest difference between the model as it was changed in memory and as it was
            read again, of first and last positions.
        batch: Between a sequence alone and beside one at the last positions.
        cached: Between reading at once and token by token, across the trained length; None of
            models that do not go on.
    """

    before: dict[str, FrequencyMap]
    after: dict[str, FrequencyMap]
    frequencies: float
    short: float
    reloaded: float
    batch: float
    cached: float | None

    def fault(self, coarse: float) -> str | None:
        """Why the saved model is not the one that was meant; None if it is.

        Args:
            coarse: The model's rounding, relative.
        """
        if self.frequencies > FREQUENCIES:
            return f"read again, its frequencies differ by {self.frequencies:.1e}"
        if not self.reloaded <= max(LOGITS, 16 * coarse):
            return f"read again, its logits differ by {self.reloaded:.1e}"
        return None

    def lines(self) -> Iterator[str]:
        """The proof, one fact a line."""
        for key, now in self.after.items():
            was = self.before[key]
            yield (
                f"frequencies ({key}): {_ends(was)} before, {_ends(now)} after; "
                f"temperature {was.temperature:.4g} before, {now.temperature:.4g} after"
            )
        if self.after:
            yield f"frequencies read again differ by {self.frequencies:.1e} from those meant"
        yield f"logits of the first tokens, within the trained length, change by {self.short:.1e}"
        yield f"logits read again differ by {self.reloaded:.1e}"
        yield f"alone and in a batch: {self.batch:.1e}{_said(self.batch)}"
        if self.cached is not None:
            yield f"at once and token by token: {self.cached:.1e}{_said(self.cached)}"


@dataclass(frozen=True)
class Trials:
    """Inputs on which models are compared, the same for all.

    Args:
        first: From the first position on, within the trained length.
        last: At the last positions of the new length.
    """

    first: dict[str, Tensor]
    last: dict[str, Tensor]


def trials(pretrained: Pretrained, to: int, before: bool = False) -> Trials:
    """Make them for a model that was, or will be, extended to `to`.

    Args:
        pretrained: As it was read.
        to: In tokens, or pixels of a side.
        before: Of the model before, which knows no last positions.
    """
    where, config = what_positions(pretrained.model), pretrained.config
    if pretrained.kind == "image":
        side = config.image_size if before else to
        return Trials(*[{"pixel_values": _noise(1, config.num_channels, side, side)}] * 2)
    length = where.trained_length or N_TOKENS
    n = min(N_TOKENS, max(1, length // 2))
    first = {"input_ids": _tokens(config.vocab_size, n)}
    if pretrained.kind == "seq2seq":
        first["decoder_input_ids"] = first["input_ids"]
    if before:
        return Trials(first, first)
    if isinstance(where, InRotation):
        return Trials(first, first | {"position_ids": torch.arange(to - n, to).unsqueeze(0)})
    if isinstance(where, InTable):
        return Trials(first, {"input_ids": _tokens(config.vocab_size, min(to, MOST_TOKENS))})
    return Trials(first, first)


def outputs(pretrained: Pretrained, inputs: dict[str, Tensor]) -> Tensor:
    """Logits, or hidden states where there is no head, float32 on the CPU."""
    inputs = {name: value.to(pretrained.device) for name, value in inputs.items()}
    if "pixel_values" in inputs:
        inputs["pixel_values"] = inputs["pixel_values"].to(pretrained.model.dtype)
    with torch.no_grad():
        found: Tensor = pretrained.model(**inputs)[0]
    return found.float().cpu()


def differ(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the largest entry."""
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30))


def frequencies_differ(found: dict[str, FrequencyMap], wanted: dict[str, FrequencyMap]) -> float:
    """The largest relative difference of two models' frequencies and temperatures."""
    worst = 0.0
    for key, meant in wanted.items():
        # What turns by less than 1e-12 a step does not turn.
        scale = meant.inv_freq.double().clamp(min=1e-12)
        off = (found[key].inv_freq.double() - meant.inv_freq.double()).abs() / scale
        worst = max(worst, float(off.max()), abs(found[key].temperature / meant.temperature - 1))
    return worst


def in_a_batch(pretrained: Pretrained, given: Trials, alone: Tensor) -> float:
    """How the outputs of the first trial, which alone are `alone`, change beside another."""
    if "pixel_values" in given.first:
        pair = {"pixel_values": torch.cat([given.first["pixel_values"]] * 2)}
        return differ(outputs(pretrained, pair)[:1], alone)
    pair = {name: torch.cat([ids, ids.flip(1)]) for name, ids in given.first.items()}
    if (last := given.last.get("position_ids")) is not None:
        pair["position_ids"] = torch.cat([torch.arange(last.shape[1]).unsqueeze(0), last])
    return differ(outputs(pretrained, pair)[:1], alone)


def token_by_token(pretrained: Pretrained, given: Trials) -> float | None:
    """How outputs change when a cache holds what was read; None where there is no cache.

    Of rotary models the tokens stand across the trained length.
    """
    if pretrained.kind != "causal":
        return None
    where, ids = what_positions(pretrained.model), given.first["input_ids"]
    n = ids.shape[1]
    inputs: dict[str, Tensor] = {"input_ids": ids}
    if "position_ids" in given.last:
        start = max(
            0, min((where.trained_length or n) - n // 2, int(given.last["position_ids"].min()))
        )
        inputs["position_ids"] = torch.arange(start, start + n).unsqueeze(0)
    cache: Any = None
    found = []
    for step in (slice(0, n // 2), *(slice(i, i + 1) for i in range(n // 2, n))):
        some = {name: value[:, step].to(pretrained.device) for name, value in inputs.items()}
        with torch.no_grad():
            made = pretrained.model(**some, past_key_values=cache, use_cache=True)
        cache = made.past_key_values
        found.append(made[0].float().cpu())
    # Afterwards, since a dynamic map remembers the longest sequence.
    return differ(torch.cat(found, 1), outputs(pretrained, inputs))


def _tokens(n_symbols: int, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(min(3, n_symbols - 1), n_symbols, (1, n), generator=generator)


def _noise(*size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(0))


def _ends(now: FrequencyMap) -> str:
    return f"{float(now.inv_freq[0]):.4g} to {float(now.inv_freq[-1]):.4g}"


def _said(difference: float) -> str:
    return "" if difference <= LOGITS else " (not the same: it depends on the sequence's length)"
