"""Does a document that shares a row with others read them?

Shapes: B rows, T tokens, n of one document.
"""

from typing import Any

from torch import Tensor

from lightning_posenc.data.batch import Batch, are_ids
from lightning_posenc.diagnose.subject import OwnModel

N_ROWS = 4
LEAST = 2  # tokens of a document


def packing_leak(subject: OwnModel, positions: Tensor, batch: Batch) -> float | None:
    """Change of the states of a row's second document, packed behind the first, over those alone.

    Alone it has the positions that it has in the row, so that what moves is what it read of its
    neighbours: by attention without a mask of documents, by a sum or a convolution that does not
    stop where a document starts.

    Args:
        subject: The model.
        positions: (1|B, T) or (1|B, T, A) of the rows' tokens.
        batch: Rows whose documents are told.

    Returns:
        The largest of some rows, over the spread of the states alone; None if no row has two
        documents, or the model refuses one alone.
    """
    documents = batch.documents
    if documents is None or not are_ids(batch.tokens):
        return None
    changes: list[float] = []
    for row in range(len(batch.tokens)):
        start, end = _second(documents[row], None if batch.lengths is None else batch.lengths[row])
        if end - start < LEAST:
            continue
        places = positions[row : row + 1] if len(positions) > 1 else positions
        part: Any = (None if x is None else x[row : row + 1] for x in batch)
        packed = Batch(*part)._replace(positions=places)
        alone = Batch(
            packed.tokens[:, start:end],
            packed.tokens[:, start:end],
            documents=documents[row : row + 1, start:end],
            positions=places[:, start:end],
        )
        try:
            within = subject.module.encode(packed.tokens, packed)[:, start:end]
            by_itself = subject.module.encode(alone.tokens, alone)
        except ValueError:  # a mixer that serves no documents
            return None
        spread = (by_itself - by_itself.mean(dim=1, keepdim=True)).double().norm()
        changes.append(float((within - by_itself).double().norm() / spread.clamp_min(1e-12)))
        if len(changes) == N_ROWS:
            break
    return max(changes, default=None)


def _second(documents: Tensor, length: Tensor | None) -> tuple[int, int]:
    """Where the second document of a row starts and ends; twice 0 if there is none."""
    n = len(documents) if length is None else int(length)
    starts = (documents[1:n] != documents[: n - 1]).nonzero().flatten() + 1
    if not len(starts):
        return 0, 0
    return int(starts[0]), int(starts[1]) if len(starts) > 1 else n
