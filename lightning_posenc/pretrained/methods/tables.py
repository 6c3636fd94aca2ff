"""Learned tables of positions, made longer."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, get_args

import torch
from torch import Tensor, nn

from lightning_posenc.checks import one_of
from lightning_posenc.positional.resampling import Curve, resampled, resampled_grid, tiled
from lightning_posenc.positions.paper import Paper
from lightning_posenc.pretrained.methods.base import Method, too_short
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.pretrained.where_positions import InTable, what_positions

_BUFFERS = ("position_ids", "token_type_ids")  # (1, rows), that families keep beside a table
_LENGTHS = ("max_position_embeddings", "max_seq_len", "n_positions")


class LongerTable(Method):
    """Makes the rows of every position anew from those that were learned.

    Rows before that of the first position (OPT's and RoBERTa's two, a ViT's class token) are kept.
    Of images `to` is the side in pixels.
    """

    @abstractmethod
    def rows(self, table: Tensor, *size: int) -> Tensor:
        """(N, D) to (size[0], D), or (H, W, D) to (*size, D)."""

    def refuses(self, pretrained: Pretrained, to: int) -> str | None:
        where = what_positions(pretrained.model)
        if not isinstance(where, InTable):
            return "it has no learned table of positions"
        if where.grid is None:
            return too_short(to, where.rows - where.offset)
        patch = _patch(pretrained)
        if where.grid[0] != where.grid[1] or to % patch[0] or to % patch[1]:
            return (
                f"to={to} must be a side of square images cut into {patch[0]} x {patch[1]} pixels"
            )
        return None

    @contextmanager
    def applied(self, pretrained: Pretrained, to: int) -> Iterator[None]:
        self.check(pretrained, to)
        model, where, changes = pretrained.model, _table(pretrained), self.spelling(pretrained, to)
        patch = None if where.grid is None else _patch(pretrained)
        with ExitStack() as undone:
            for name in where.names:
                table = model.get_parameter(name)
                longer = nn.Parameter(self._longer(table.detach(), where, patch, to))
                longer.requires_grad_(table.requires_grad)
                undone.callback(_put_parameter(model, name, longer))
            for module in model.modules():
                undone.callback(_put_buffers(module, where, to))
                if where.grid is not None and hasattr(module, "image_size"):
                    undone.callback(_put_attributes(module, image_size=(to, to)))
            undone.callback(_put_attributes(pretrained.config, **changes))
            yield

    def cannot_be_saved(self, pretrained: Pretrained, to: int) -> str | None:
        return None

    def spelling(self, pretrained: Pretrained, to: int) -> dict[str, Any]:
        self.check(pretrained, to, saved=True)
        where, config = _table(pretrained), pretrained.config
        if where.grid is not None:
            return {"image_size": to}
        more = to - (where.rows - where.offset)
        named = next(name for name in _LENGTHS if isinstance(getattr(config, name, None), int))
        return {named: getattr(config, named) + more}

    def _longer(
        self, table: Tensor, where: InTable, patch: tuple[int, int] | None, to: int
    ) -> Tensor:
        """A table (rows, D) or (1, rows, D) for `to`."""
        flat = table.reshape(-1, table.shape[-1])
        kept, learned = flat[: where.offset], flat[where.offset :]
        if where.grid is None or patch is None:
            made = self.rows(learned, to)
        else:
            grid = learned.unflatten(0, where.grid)
            made = self.rows(grid, to // patch[0], to // patch[1]).flatten(0, 1)
        longer = torch.cat([kept, made]).contiguous()
        return longer.unsqueeze(0) if table.dim() == 3 else longer


class Resample(LongerTable):
    """Stretches the table over the new length, as an image is enlarged.

    Every position moves, those of the trained lengths too. Source: Dosovitskiy et al. 2021, "An
    Image is Worth 16x16 Words", arXiv:2010.11929, section 3.2, of images.

    Args:
        curve: Between rows, "linear" or "cubic".
        antialias: As torch has it; only makes a cubic curve softer where the table grows.

    Raises:
        ValueError: If there is no such curve.
    """

    name = "resample-linear"
    source = Paper(
        "Dosovitskiy et al.",
        2021,
        "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
        "2010.11929",
        "section 3.2",
    )

    def __init__(self, curve: Curve = "linear", antialias: bool = False) -> None:
        self.curve = one_of(self, "curve", curve, get_args(Curve))
        self.antialias = antialias

    def rows(self, table: Tensor, *size: int) -> Tensor:
        if len(size) == 1:
            return resampled(table, size[0], self.curve, self.antialias)
        return resampled_grid(table, size[0], size[1], self.curve, self.antialias)


class ResampleBicubic(Resample):
    """Stretches the table over the new length along cubic curves.

    Args:
        antialias: As torch has it; where the table grows it makes the curve softer.
    """

    name = "resample-bicubic"

    def __init__(self, antialias: bool = False) -> None:
        super().__init__("cubic", antialias)


class Tile(LongerTable):
    """Lays the table end to end: every trained position is what it was, and returns.

    Source: Beltagy et al. 2020, "Longformer: The Long-Document Transformer", arXiv:2004.05150,
    section 5.
    """

    name = "tile"
    source = Paper(
        "Beltagy et al.",
        2020,
        "Longformer: The Long-Document Transformer",
        "2004.05150",
        "section 5",
    )

    def rows(self, table: Tensor, *size: int) -> Tensor:
        return tiled(table, *size)


def _table(pretrained: Pretrained) -> InTable:
    where = what_positions(pretrained.model)
    assert isinstance(where, InTable)
    return where


def _patch(pretrained: Pretrained) -> tuple[int, int]:
    size = pretrained.model.config.patch_size
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _put_parameter(model: nn.Module, name: str, parameter: nn.Parameter) -> Any:
    """Put a parameter, and its rows where an embedding counts them; give what undoes it."""
    path, _, leaf = name.rpartition(".")
    owner = model.get_submodule(path)
    before = getattr(owner, leaf)
    setattr(owner, leaf, parameter)
    if not isinstance(owner, nn.Embedding):
        return lambda: setattr(owner, leaf, before)
    undo = _put_attributes(owner, num_embeddings=len(parameter))

    def both() -> None:
        undo()
        setattr(owner, leaf, before)

    return both


def _put_buffers(module: nn.Module, where: InTable, to: int) -> Any:
    """Make the buffers (1, rows) of a module go with a table for `to`; give what undoes it."""
    before = {}
    for name in _BUFFERS:
        held = getattr(module, name, None)
        if not isinstance(held, Tensor) or held.shape != (1, where.rows):
            continue
        before[name] = held
        longer = held.new_zeros(1, where.offset + to)
        if name == "position_ids":
            longer = torch.arange(where.offset + to, device=held.device).unsqueeze(0)
        setattr(module, name, longer)

    def undo() -> None:
        for name, held in before.items():
            setattr(module, name, held)

    return undo


def _put_attributes(owner: Any, **values: Any) -> Any:
    """Set attributes; give what undoes it."""
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)

    def undo() -> None:
        for name, value in before.items():
            setattr(owner, name, value)

    return undo
