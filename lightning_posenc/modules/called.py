"""What a module takes when it is called: a batch, or token ids alone."""

from typing import Any

from torch import Tensor

from lightning_posenc.checks import wrong
from lightning_posenc.data.batch import Batch
from lightning_posenc.tasks import IGNORE


def as_batch(module: object, given: Any) -> Batch:
    """A batch, or token ids (B, T) as one whose targets nobody knows.

    Raises:
        ValueError: If it is neither, as a text is.
    """
    if isinstance(given, Batch):
        return given
    if isinstance(given, Tensor):
        return Batch(given, given.new_full(given.shape, IGNORE))
    raise wrong(
        module,
        "batch",
        given,
        "be a Batch or token ids (B, T): trainer.predict(module, data) makes them of text",
    )
