"""One forward pass's mask, in the forms that kernels want.

Shapes: B sequences, H heads, T queries, t of them, S keys.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from lightning_posenc.masks.base import Mask
from lightning_posenc.masks.local import Causal
from lightning_posenc.masks.parts import ROWS, seen_keys
from lightning_posenc.masks.tiles import KeyStretch, tiles_of


class Visibility:
    """One forward pass's mask in the forms that kernels want, each made once, on first use.

    Args:
        mask: The predicate; or who sees whom, (B|1, 1|H, T, S) bool, of a model that is not of
            this package; or None if everybody sees everybody.
        n_queries: T.
        n_keys: S.
        device: Where dense forms live.
        first: Index of the first query; None if the queries are the last keys.
        keys: (S,) indices of the keys, in increasing order; None if they are the first S tokens.
    """

    def __init__(
        self,
        mask: Mask | Tensor | None,
        n_queries: int,
        n_keys: int,
        device: torch.device,
        first: int | None = None,
        keys: Tensor | None = None,
    ) -> None:
        self.mask = mask.at(n_keys, device) if isinstance(mask, Mask) else mask
        self.n_queries = n_queries
        self.n_keys = n_keys
        self.device = device
        self.first = n_keys - n_queries if first is None else first
        self.keys = keys
        if n_queries == 1 and keys is None and self.first == n_keys - 1 and type(mask) is Causal:
            self.mask = None  # from the last token nothing is hidden, and no mask is to be made
        self._dense: Tensor | None = None
        self._block: BlockMask | None = None
        self._bias: Tensor | None = None
        self._added: Tensor | None = None
        self._parts: tuple[QueryRun, ...] | None = None
        self._tiles: tuple[tuple[KeyStretch, ...], ...] | None = None

    @property
    def is_causal(self) -> bool:
        """Whether the mask is the causal one and nothing else, over as many queries as keys."""
        alike = self.n_queries == self.n_keys and self.keys is None
        return alike and type(self.mask) is Causal

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
            self._dense = self._between(self.mask, 0, self.n_queries)
        return self._dense

    def _between(self, mask: Mask, start: int, stop: int) -> Tensor:
        queries = torch.arange(self.first + start, self.first + stop, device=self.device)
        return mask.between(queries, self._indices())

    def _indices(self) -> Tensor:
        if self.keys is None:
            return torch.arange(self.n_keys, device=self.device)
        return self.keys

    def seen_by(self, rows: slice) -> Tensor | None:
        """`dense` of some of the queries, (B|1, 1|H, t, S), without making that of all."""
        if isinstance(self.mask, Mask) and rows != slice(None):
            start, stop, _ = rows.indices(self.n_queries)
            return self._between(self.mask, start, stop)
        return None if self.dense is None else self.dense[:, :, rows]

    @property
    def block(self) -> BlockMask | None:
        """FlexAttention's form, which skips blocks that nobody sees; None as for `dense`."""
        if self._block is None and (mask := self.mask) is not None:
            assert isinstance(mask, Mask), "only models of this package run on it"
            first, keys = self.first, self.keys
            # Uncompiled, it goes through a dense mask.
            compiles = self.device.type == "cuda" and not torch.compiler.is_compiling()
            create = _compiled_create() if compiles else create_block_mask
            self._block = create(
                lambda b, h, q, k: mask(b, q + first, k if keys is None else keys[k]),
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
        hidden = self.keys is None and self.mask is not None and self.mask.hides_future
        n_keys = first + n_queries if hidden else self.n_keys
        return Visibility(self.mask, n_queries, n_keys, self.device, first, self.keys)

    @property
    def parts(self) -> "tuple[QueryRun, ...]":
        """Runs of the queries with the keys that any of them sees, one after the other.

        None at all where most queries see most keys: they are best attended to at once.
        """
        if self._parts is None:
            some: tuple[Tensor, ...] = ()
            if isinstance(self.mask, Mask) and self.n_queries > ROWS and not self.is_causal:
                some = seen_keys(self.mask, self.first, self.n_queries, self._indices())
            self._parts = tuple(self._part(run, near) for run, near in enumerate(some))
        return self._parts

    def _part(self, run: int, near: Tensor) -> "QueryRun":
        start = run * ROWS
        n_queries = min(ROWS, self.n_queries - start)
        keys = near if self.keys is None else self.keys[near]
        sizes = n_queries, len(near), self.device, self.first + start
        visibility = Visibility(self.mask, *sizes, keys)
        dense = visibility.dense
        if dense is not None and bool(dense.all()):  # then no kernel has to be told, or keep it
            visibility = Visibility(None, *sizes, keys)
        return QueryRun(near, visibility)

    @property
    def tiles(self) -> tuple[tuple[KeyStretch, ...], ...]:
        """For each sequence, or for all, runs of the queries and what they see: of a predicate."""
        assert not isinstance(self.mask, Tensor)
        if self._tiles is None:
            keys, whole = self._indices(), self.keys is None
            self._tiles = tiles_of(self.mask, self.first, self.n_queries, keys, whole)
        return self._tiles

    def unmade(self) -> "Visibility":
        """The same with none of its forms made, to be kept: they would take memory."""
        size = self.n_queries, self.n_keys
        return Visibility(self.mask, *size, self.device, self.first, self.keys)

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


class QueryRun(NamedTuple):
    """A run of queries.

    Args:
        near: (S',) where the keys that any of them sees stand among all.
        visibility: Who of them sees whom.
    """

    near: Tensor
    visibility: Visibility


@cache
def _compiled_create() -> Callable[..., BlockMask]:
    return torch.compile(create_block_mask, dynamic=True)
