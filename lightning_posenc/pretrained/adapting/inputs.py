"""What a model of Hugging Face is called with, from a batch of this package.

Shapes: B sequences, T tokens.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.data.batch import Batch
from lightning_posenc.positions import Consecutive, Positions, Sequences
from lightning_posenc.pretrained.calling import takes
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.pretrained.where_positions import InRotation, InTable, what_positions


class ModelInputs(NamedTuple):
    """Makes the arguments of a model's forward, apart from token ids.

    Args:
        sampler: Where tokens are, unless the batch says it.
        family: Name of the model's class.
        is_causal: Whether a token sees only itself and its past.
        takes_positions: Whether the model can be told positions.
        is_rotary: Whether positions may lie between whole numbers.
        rows: Of its table of positions; None without one.
        first: What the family calls position 0.
        has_windows: Whether some layers see a window of the past alone.
    """

    sampler: Positions
    family: str
    is_causal: bool
    takes_positions: bool
    is_rotary: bool
    rows: int | None
    first: int
    has_windows: bool

    @classmethod
    def of(cls, pretrained: Pretrained, sampler: Positions | None) -> "ModelInputs":
        """Look at a model.

        Raises:
            ValueError: If it cannot be told what the sampler draws.
        """
        where = what_positions(pretrained.model)
        model, config = pretrained.model, pretrained.config
        made = cls(
            Consecutive() if sampler is None else sampler,
            type(model).__name__,
            pretrained.kind == "causal",
            takes(model, "position_ids"),
            isinstance(where, InRotation),
            where.rows - where.offset if isinstance(where, InTable) else None,
            _first(model, where) if isinstance(where, InTable) else 0,
            bool(getattr(config, "sliding_window", None))
            or "sliding_attention" in (getattr(config, "layer_types", None) or ()),
        )
        if not made.is_default and not made.takes_positions:
            raise ValueError(
                f"positions={type(sampler).__name__}: {made.family} takes no position_ids: leave "
                "positions out"
            )
        return made

    @property
    def is_default(self) -> bool:
        """Whether tokens are where the model itself counts them to be."""
        return type(self.sampler) is Consecutive

    def arguments(self, tokens: Tensor, batch: Batch, dtype: torch.dtype) -> dict[str, Tensor]:
        """The mask and the positions, where they are not what the model takes without them.

        Args:
            tokens: (B, T) ids.
            batch: That they are from.
            dtype: Of the model's numbers.

        Raises:
            ValueError: If the model cannot serve the batch.
        """
        positions = self._positions(tokens, batch)
        if positions is None and batch.documents is None and batch.lengths is None:
            return {}
        given: dict[str, Tensor] = {}
        if positions is not None:
            given["position_ids"] = positions + self.first
        # Without a mask the library takes every gap between positions for the end of a document.
        index = torch.arange(tokens.shape[1], device=tokens.device)
        real = torch.ones_like(tokens, dtype=torch.bool)
        if batch.lengths is not None:
            real = index < batch.lengths[:, None]
        given["attention_mask"] = real.long()
        if batch.documents is not None:
            given["attention_mask"] = self._within(batch.documents, real, dtype)
        return given

    def until(self, said: Tensor) -> Callable[[int], Any]:
        """The arguments at each step of decoding, by the number of tokens that are said.

        Args:
            said: (B, T), of the whole result's size; its values are not read.

        Raises:
            ValueError: If the sampler reads tokens.
        """
        if self.is_default:
            return lambda now: {}
        if self.sampler.reads_tokens:
            raise ValueError(f"generate: {type(self.sampler).__name__} reads what is not said yet")
        drawn = self._positions(said, Batch(said, said))
        assert drawn is not None
        seen = torch.ones_like(said)
        return lambda now: {
            "position_ids": drawn[:, :now] + self.first, "attention_mask": seen[:, :now]
        }  # fmt: skip

    def _positions(self, tokens: Tensor, batch: Batch) -> Tensor | None:
        """(B, T); None where they are what the model counts itself."""
        if batch.positions is not None:
            if not self.takes_positions:
                raise ValueError(
                    f"the data gives positions, and {self.family} takes no position_ids: set "
                    "data.reset_positions=false"
                )
            values, high, stretch = batch.positions, None, None
        elif self.is_default:
            return None
        else:
            told = Sequences(
                len(tokens), tokens.shape[1], tokens.device, batch.documents, batch.lengths, tokens
            )
            places = self.sampler.places(told)
            values, high, stretch = places.values, places.high, places.stretch
        name = type(self.sampler).__name__
        if values.dim() != 2 or stretch is not None:
            raise ValueError(
                f"positions={name}: {self.family} takes one place for each token: choose positions "
                "such as PoSE, Shifted or Randomized"
            )
        if values.is_floating_point() and not self.is_rotary:
            raise ValueError(
                f"positions={name}: {self.family} takes whole numbers only: choose positions such "
                "as Shifted or Randomized"
            )
        if self.rows is not None:
            last = int(values.amax()) if high is None else int(high)
            if last >= self.rows:
                raise ValueError(
                    f"a token at position {last} is beyond the table of {self.family}, which has "
                    f"{self.rows}: extend the table first, or let positions end before"
                )
        return values.expand(tokens.shape[0], -1)

    def _within(self, documents: Tensor, real: Tensor, dtype: torch.dtype) -> Tensor:
        """What is added to logits, (B, 1, T, T), so that tokens see their own document alone."""
        if self.has_windows or not self.takes_positions:
            raise ValueError(
                f"separate_documents: {self.family} makes masks of its own (windows, or slopes): "
                "set data.separate_documents=false"
            )
        seen = (documents[:, :, None] == documents[:, None, :]) & real[:, None, :]
        if self.is_causal:
            seen = seen.tril()
        seen |= torch.eye(seen.shape[-1], dtype=torch.bool, device=seen.device)
        hidden = torch.finfo(dtype).min
        return torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, hidden).unsqueeze(1)


def _first(model: nn.Module, where: InTable) -> int:
    """What position 0 is called where a table's first rows belong to padding (RoBERTa)."""
    for name in where.names:
        table = model.get_submodule(name.rpartition(".")[0])
        padding = getattr(table, "padding_idx", None)
        if padding is not None and not hasattr(table, "offset"):  # else the table adds it itself
            return int(padding) + 1
    return 0
