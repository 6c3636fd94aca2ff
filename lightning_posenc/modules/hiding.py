"""Hide what a masked language model has to guess."""

import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.draws import sent
from lightning_posenc.tasks import IGNORE, Draws


def hide(
    batch: Batch, batch_idx: int, share: float, mask_id: int, is_training: bool
) -> tuple[Tensor, Tensor]:
    """Mask tokens; the targets are what was hidden.

    What is hidden is drawn anew for every training step. In evaluation it depends on the length and
    on the number of the sequence in its dataset alone, not on batches or ranks.

    Args:
        batch: With tokens (B, T).
        batch_idx: Its index.
        share: Probability of each token.
        mask_id: What stands in the place of a hidden token.
        is_training: Whether the model learns.

    Returns:
        (B, T) tokens and (B, T) targets, IGNORE where nothing is hidden.
    """
    tokens = batch.tokens
    if is_training:
        drawn = torch.rand(tokens.shape, dtype=torch.float32, device="cpu")
    else:
        rows, length = tokens.shape
        numbers = batch.numbers
        if numbers is None:  # data of another kind: at least the same at each evaluation
            numbers = batch_idx * rows + torch.arange(rows, device="cpu")
        drawn = Draws(0, f"hidden/{length}", numbers.cpu()).uniform(length)
    hidden = sent(drawn, tokens.device) < share
    return tokens.masked_fill(hidden, mask_id), tokens.masked_fill(~hidden, IGNORE)
