"""How well a language model expects a text.

Shapes: B blocks, T tokens.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.text.token_bytes import token_bytes
from lightning_posenc.tasks import IGNORE


def text_score(
    module: Any, ids: NDArray[np.int32], vocabulary: Any, length: int, device: torch.device
) -> dict[str, Any]:
    """Loss, perplexity and bits per byte of a text, each token from those before it in its block.

    The text is cut into blocks as `TextData` cuts it, so that its numbers are those of `validate`;
    the tail that fills no block is scored too, and the first token is not.

    Args:
        module: A causal model in evaluation mode.
        ids: (n,) of the text.
        vocabulary: Of the ids, which may tell their bytes.
        length: T, tokens of a block.
        device: Where the model is.

    Raises:
        ValueError: If there is nothing to score.
    """
    n = len(ids) - 1
    if n < 1:
        raise ValueError(f"a text of {len(ids)} tokens has none to be scored: give two at least")
    tokens = torch.from_numpy(ids.astype(np.int64))
    total = 0.0
    for rows in torch.arange(0, n, length).split(32):
        places = (rows[:, None] + torch.arange(min(length, n))).clamp(max=n - 1)
        beyond = rows[:, None] + torch.arange(min(length, n)) >= n
        targets = tokens[places + 1].masked_fill(beyond, IGNORE)
        batch = Batch(tokens[places], targets, lengths=(~beyond).sum(dim=1))
        total += _nats(module, batch.to(device), targets.to(device))
    sizes = token_bytes(vocabulary)
    n_bytes = 0 if sizes is None else int(sizes[ids[1:]].sum())
    found = {"loss": total / n, "perplexity": math.exp(min(total / n, 700.0)), "tokens": n}
    if n_bytes:
        found |= {"bits_per_byte": total / n_bytes / math.log(2), "bytes": n_bytes}
    return found


def _nats(module: Any, batch: Batch, targets: Tensor) -> float:
    """Sum over the scored targets of the logarithm of what the model gave them, negative."""
    logits = module.logits(batch).float().flatten(0, 1)
    each = F.cross_entropy(logits, targets.flatten(), reduction="none", ignore_index=IGNORE)
    return float(each.cpu().double().sum())
