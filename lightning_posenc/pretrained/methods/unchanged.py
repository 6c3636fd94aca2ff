"""The model as it is, which every method is compared with."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from lightning_posenc.pretrained.methods.base import Method
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.pretrained.where_positions import InTable, what_positions


class Unchanged(Method):
    """Reads longer sequences than it was trained on without any help."""

    name = "unchanged"

    def refuses(self, pretrained: Pretrained, to: int) -> str | None:
        where = what_positions(pretrained.model)
        if isinstance(where, InTable) and where.grid is None and to > (where.trained_length or to):
            return f"its table of positions ends after {where.trained_length}"
        return None

    def applied(self, pretrained: Pretrained, to: int) -> AbstractContextManager[None]:
        self.check(pretrained, to)
        return nullcontext()

    def cannot_be_saved(self, pretrained: Pretrained, to: int) -> str | None:
        return None

    def spelling(self, pretrained: Pretrained, to: int) -> dict[str, Any]:
        self.check(pretrained, to)
        return {}
