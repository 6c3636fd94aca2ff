"""Patterns that papers gave a name, composed of what they are made of."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.masks.base import Mask, Span
from lightning_posenc.masks.blocks import Blocked, RandomBlocks
from lightning_posenc.masks.global_tokens import GlobalTokens, Sinks
from lightning_posenc.masks.local import Window


class Named(Mask):
    """A composition of masks under one name."""

    @abstractmethod
    def composed(self) -> Mask:
        """What it is made of."""

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.composed()(b, q, k)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        return self.composed().reaches(queries, keys)

    @property
    def by_distance(self) -> bool:
        return self.composed().by_distance

    @property
    def depends_on_length(self) -> bool:
        return self.composed().depends_on_length

    def at(self, n_tokens: int, device: torch.device) -> Mask:
        return self.composed().at(n_tokens, device)


@dataclass(frozen=True)
class Longformer(Named):
    """A token sees those fewer than `size` steps away, and the first `n_global` see all.

    Source: Beltagy et al. 2020, "Longformer: The Long-Document Transformer", arXiv:2004.05150,
    section 3.1. Its window of w tokens is size = w // 2 + 1; its projections for global attention
    are those for the window here. `Dilated(…) | GlobalTokens(…)` is its dilated form.

    Args:
        size: At least 1.
        n_global: Tokens at the start that see all and are seen by all, at least 0: 1 for a class
            token, or a question's length.
    """

    size: int = 256
    n_global: int = 1

    def __post_init__(self) -> None:
        whole(self, "size", self.size)
        whole(self, "n_global", self.n_global, 0)

    def composed(self) -> Mask:
        return Window(self.size) | GlobalTokens(self.n_global)


@dataclass(frozen=True)
class BigBird(Named):
    """A block of tokens sees itself and its two neighbours, the ends, and some drawn at random.

    Source: Zaheer et al. 2020, "Big Bird: Transformers for Longer Sequences", arXiv:2007.14062,
    section 2 and appendix D: internal construction (ITC), of which the first and the last block are
    global. All heads share the draw, which theirs do not.

    Args:
        size: Tokens of a block, at least 1.
        n_random: r, blocks drawn for each besides those that it sees anyway, at least 1.
        seed: Of the draw, at least 0; give each layer its own for another draw a layer.
    """

    size: int = 64
    n_random: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        whole(self, "size", self.size)
        whole(self, "n_random", self.n_random)
        whole(self, "seed", self.seed, 0)

    def composed(self) -> Mask:
        blocks = Window(2) | GlobalTokens(1, 1)
        return Blocked(blocks, self.size) | RandomBlocks(
            self.size, self.n_random, self.seed, blocks
        )


@dataclass(frozen=True)
class StreamingLLM(Named):
    """A token sees those fewer than `size` steps away, and the first `n_sinks`.

    Source: Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks",
    arXiv:2309.17453, section 3. A causal model of it generates without end in the memory of
    size + n_sinks tokens. The paper counts positions within the cache; here tokens stay where the
    sampler of positions has put them.

    Args:
        size: At least 1.
        n_sinks: Tokens at the start that all see, at least 0.
    """

    size: int = 1020
    n_sinks: int = 4

    def __post_init__(self) -> None:
        whole(self, "size", self.size)
        whole(self, "n_sinks", self.n_sinks, 0)

    def composed(self) -> Mask:
        return Window(self.size) | Sinks(self.n_sinks)
