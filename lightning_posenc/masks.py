"""Who may see whom? Predicates `(b, q, k) -> bool`, composed by `&`.

b, q and k are index tensors that broadcast against each other, so that one definition serves a
dense mask, SDPA's `is_causal` and a FlexAttention block mask. Every predicate lets a token see
itself: no row of attention is ever empty, and no softmax yields NaN.

Shapes: B sequences, T queries, S keys.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce
from operator import and_

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from lightning_posenc.checks import whole


class Mask(ABC):
    """A predicate on (sequence, query, key)."""

    @abstractmethod
    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        """Say which queries see which keys: True where they may. Shapes broadcast."""

    def __and__(self, other: "Mask") -> "Mask":
        return Both(self, other)

    @property
    def n_sequences(self) -> int:
        """How many different sequences the mask speaks of; 1 if it is the same for all."""
        return 1

    @property
    def hides_future(self) -> bool:
        """Whether it is known that nobody sees what comes later."""
        return False

    def dense(
        self, n_queries: int, n_keys: int, device: torch.device, first: int | None = None
    ) -> Tensor:
        """Materialise the mask: (B|1, 1, T, S) bool.

        Args:
            n_queries: T.
            n_keys: S.
            device: Where to.
            first: Index among the keys of the first query; None if the queries are the last keys.
        """
        first = n_keys - n_queries if first is None else first
        b = torch.arange(self.n_sequences, device=device)[:, None, None]
        q = torch.arange(first, first + n_queries, device=device)[:, None]
        k = torch.arange(n_keys, device=device)
        return self(b, q, k).expand(self.n_sequences, n_queries, n_keys).unsqueeze(1)


@dataclass(frozen=True, eq=False)
class Both(Mask):
    """What two masks both allow."""

    left: Mask
    right: Mask

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.left(b, q, k) & self.right(b, q, k)

    @property
    def n_sequences(self) -> int:
        left, right = self.left.n_sequences, self.right.n_sequences
        return right if left == 1 else left  # there can be none, too

    @property
    def hides_future(self) -> bool:
        return self.left.hides_future or self.right.hides_future


@dataclass(frozen=True)
class Causal(Mask):
    """A token sees itself and its past."""

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return q >= k

    @property
    def hides_future(self) -> bool:
        return True


@dataclass(frozen=True)
class Window(Mask):
    """A token sees those fewer than `size` steps away (Beltagy et al. 2020, arXiv:2004.05150).

    Args:
        size: At least 1; 1 leaves a token alone with itself.
    """

    size: int

    def __post_init__(self) -> None:
        whole(self, "size", self.size)

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (q - k).abs() < self.size


@dataclass(frozen=True, eq=False)
class Padding(Mask):
    """Nobody sees what stands beyond a sequence's end, but that token itself.

    Args:
        lengths: (B,) number of tokens of each sequence.
    """

    lengths: Tensor

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k < self.lengths[b]) | (q == k)

    @property
    def n_sequences(self) -> int:
        return self.lengths.shape[0]


@dataclass(frozen=True, eq=False)
class Documents(Mask):
    """Tokens of packed documents see only their own document.

    Args:
        ids: (B, T) id of the document that each token belongs to.
    """

    ids: Tensor

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.ids[b, q] == self.ids[b, k]

    @property
    def n_sequences(self) -> int:
        return self.ids.shape[0]


def compose(*masks: Mask | None) -> Mask | None:
    """What all the given masks allow; None allows everything."""
    given = [mask for mask in masks if mask is not None]
    return reduce(and_, given) if given else None


class Visibility:
    """One forward pass's mask in the forms that kernels want, each made once, on first use.

    Args:
        mask: The predicate; or who sees whom, (B|1, 1|H, T, S) bool, of a model that is not of
            this package; or None if everybody sees everybody.
        n_queries: T.
        n_keys: S.
        device: Where dense forms live.
        first: Index among the keys of the first query; None if the queries are the last keys.
    """

    def __init__(
        self,
        mask: Mask | Tensor | None,
        n_queries: int,
        n_keys: int,
        device: torch.device,
        first: int | None = None,
    ) -> None:
        self.mask = mask
        self.n_queries = n_queries
        self.n_keys = n_keys
        self.device = device
        self.first = n_keys - n_queries if first is None else first
        self._dense: Tensor | None = None
        self._block: BlockMask | None = None
        self._bias: Tensor | None = None
        self._added: Tensor | None = None

    @property
    def is_causal(self) -> bool:
        """Whether the mask is the causal one and nothing else, over as many queries as keys."""
        return self.n_queries == self.n_keys and type(self.mask) is Causal

    @property
    def may_be_blind(self) -> bool:
        """Whether a query may see nothing at all, which a predicate never lets be."""
        return isinstance(self.mask, Tensor)

    @property
    def dense(self) -> Tensor | None:
        """(B|1, 1|H, T, S) bool, or None if everything is visible."""
        if isinstance(self.mask, Tensor):
            return self.mask
        # No cached_property, whose lock (Python 3.11) breaks a compiled model's graph.
        if self._dense is None and self.mask is not None:
            self._dense = self.mask.dense(self.n_queries, self.n_keys, self.device, self.first)
        return self._dense

    def seen_by(self, rows: slice) -> Tensor | None:
        """`dense` of some of the queries, (B|1, 1|H, t, S), without making that of all."""
        if isinstance(self.mask, Mask) and rows != slice(None):
            start, stop, _ = rows.indices(self.n_queries)
            return self.mask.dense(stop - start, self.n_keys, self.device, self.first + start)
        return None if self.dense is None else self.dense[:, :, rows]

    @property
    def block(self) -> BlockMask | None:
        """FlexAttention's form, which skips blocks that nobody sees; None as for `dense`."""
        if self._block is None and (mask := self.mask) is not None:
            assert isinstance(mask, Mask), "only models of this package run on it"
            first = self.first
            # Uncompiled, it goes through a dense mask.
            compiles = self.device.type == "cuda" and not torch.compiler.is_compiling()
            create = _compiled_create() if compiles else create_block_mask
            self._block = create(
                lambda b, h, q, k: mask(b, q + first, k),
                B=mask.n_sequences if mask.n_sequences > 1 else None,
                H=None,
                Q_LEN=self.n_queries,
                KV_LEN=self.n_keys,
                device=str(self.device),
            )
        return self._block

    def rows(self, queries: slice) -> "Visibility":
        """The same for some of the queries, without the last keys if none of them sees those."""
        start, stop, _ = queries.indices(self.n_queries)
        first, n_queries = self.first + start, stop - start
        if isinstance(self.mask, Tensor):
            given = self.mask[:, :, queries]
            return Visibility(given, n_queries, self.n_keys, self.device, first)
        hidden = self.mask is not None and self.mask.hides_future
        n_keys = first + n_queries if hidden else self.n_keys
        return Visibility(self.mask, n_queries, n_keys, self.device, first)

    def unmade(self) -> "Visibility":
        """The same with none of its forms made, to be kept: they would take memory."""
        return Visibility(self.mask, self.n_queries, self.n_keys, self.device, self.first)

    def added_to(self, bias: Tensor, dtype: torch.dtype) -> Tensor:
        """Put -inf into a bias (B|1, H|1, T, S) wherever a key is hidden.

        Layers that share one bias tensor share the result, unless it needs a gradient: a result
        kept across layers would be missing where checkpointed activations are recomputed.

        Args:
            bias: In float32.
            dtype: Of the result. If it is narrower, the largest of each row is subtracted first,
                which no softmax notices: the keys that matter then have a bias near 0, where half
                precision is finest.
        """
        if bias.requires_grad:
            return self._merged(bias, dtype)
        if self._added is None or self._bias is not bias:
            self._bias = bias
            self._added = self._merged(bias, dtype)
        return self._added

    def _merged(self, bias: Tensor, dtype: torch.dtype) -> Tensor:
        if self.dense is not None:
            bias = bias.masked_fill(~self.dense, -torch.inf)
        if bias.dtype != dtype:
            bias = bias - bias.detach().amax(dim=-1, keepdim=True)
        return bias.to(dtype)


@cache
def _compiled_create() -> Callable[..., BlockMask]:
    return torch.compile(create_block_mask, dynamic=True)
