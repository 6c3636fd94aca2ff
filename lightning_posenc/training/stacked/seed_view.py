"""A trainer of several seeds, as one of them sees it."""

from typing import Any

import lightning as L


class SeedView:
    """A trainer with the data of one seed; all else is that of the trainer of them all.

    Args:
        trainer: Whose data is a `StackedData`.
        place: Of the seed, from 0.
    """

    def __init__(self, trainer: L.Trainer, place: int) -> None:
        self.of_all = trainer
        self.place = place

    def __getattr__(self, name: str) -> Any:
        if name == "of_all":  # while it is copied
            raise AttributeError(name)
        return getattr(self.of_all, name)

    @property
    def datamodule(self) -> Any:
        """The seed's own."""
        data: Any = self.of_all.datamodule  # type: ignore[attr-defined]
        return data.of_seeds[self.place]
