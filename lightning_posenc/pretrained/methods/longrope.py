"""A factor of its own for each frequency, searched for."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lightning_posenc.checks import number, several, whole
from lightning_posenc.positional.rotary.scaling import LongRoPE, geometric
from lightning_posenc.pretrained.evaluating.losses import losses
from lightning_posenc.pretrained.frequencies import FrequencyMap, turned
from lightning_posenc.pretrained.methods.base import trained_length
from lightning_posenc.pretrained.methods.base_frequency import AdjustedBase
from lightning_posenc.pretrained.methods.interpolated import PI
from lightning_posenc.pretrained.methods.scalings import NTK, Yarn
from lightning_posenc.pretrained.methods.search import search
from lightning_posenc.pretrained.methods.static_map import StaticMap, any_map, far_seeing
from lightning_posenc.pretrained.reading import Pretrained


class SearchedLongRoPE(StaticMap):
    """LongRoPE: every frequency is divided by a factor of its own, found by a search on a text.

    Source: `LongRoPE`. Deviations: one set of factors serves all lengths, since two sets change
    with the longest sequence of a batch and break decoding with a cache; the first tokens are
    treated as all others.

    Args:
        factors: One for each pair, positive; None until `fitted` has found them.
        evaluations: Candidates that the search scores, at least 1.
        seed: Of the search.

    Raises:
        ValueError: If one of them makes no sense.
    """

    name = "longrope"
    source = LongRoPE.source

    def __init__(
        self, factors: Sequence[float] | None = None, evaluations: int = 32, seed: int = 0
    ) -> None:
        if factors is not None:
            given = several(self, "factors", factors)
            factors = [number(self, "factors", each, 1e-6) for each in given]
        self.factors = factors
        self.evaluations = whole(self, "evaluations", evaluations)
        self.seed = whole(self, "seed", seed, 0)

    def refuses(self, pretrained: Pretrained, to: int) -> str | None:
        if (reason := super().refuses(pretrained, to)) is not None:
            return reason
        if self.factors is None:
            return None
        for now in far_seeing(pretrained).values():
            if len(now.inv_freq) != len(self.factors):
                return f"{len(self.factors)} factors for {len(now.inv_freq)} pairs that turn"
        return None

    def fitted(
        self, pretrained: Pretrained, to: int, tokens: Tensor, memory: Path | None = None
    ) -> "SearchedLongRoPE":
        self.check(pretrained, to)
        if self.factors is not None:
            return self
        length = trained_length(pretrained)
        maps = far_seeing(pretrained)
        first = next(iter(maps.values()))
        starts = [
            first.inv_freq.double() / start.changed(first, length, to).inv_freq.double()
            for start in (Yarn(), NTK(), AdjustedBase(), PI())
        ]

        def score(factors: Tensor) -> float:
            tried = {k: self.by_factors(now, factors, length, to) for k, now in maps.items()}
            with turned(pretrained.model, tried):
                return float(losses(pretrained, tokens).nanmean())

        question = {
            "model": pretrained.name, "to": to, "trained_length": length,
            "tokens": [list(tokens.shape), int(tokens.sum())],
        }  # fmt: skip
        found = search(score, starts, to / length, self.evaluations, self.seed, memory, question)
        return SearchedLongRoPE(found.factors.tolist(), self.evaluations, self.seed)

    def changed(self, now: FrequencyMap, trained_length: int, to: int) -> FrequencyMap:
        if self.factors is None:
            raise ValueError(f"{self.name}: its factors are not searched for yet: call fitted")
        factors = torch.tensor(self.factors, dtype=torch.float64)
        return self.by_factors(now, factors, trained_length, to)

    @staticmethod
    def by_factors(
        now: FrequencyMap, factors: Tensor, trained_length: int, to: int
    ) -> FrequencyMap:
        """The map of factors (n,), with LongRoPE's temperature sqrt(1 + ln(to/L) / ln L)."""
        assert now.base is not None
        unscaled = geometric(now.base, 2 * len(factors), torch.device("cpu")).double()
        inv_freq = (unscaled / factors).float()
        temperature = math.sqrt(1 + math.log(to / trained_length) / math.log(trained_length))
        temperature *= now.temperature
        said = any_map(now, inv_freq, temperature, trained_length, to)
        return FrequencyMap(inv_freq, temperature, now.base, said)
