"""Whether a model of ours and one of Hugging Face's say the same.

Shapes: B sequences, T tokens, V scores.
"""

from typing import Any

import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.model import Patches, TokenEmbedding
from lightning_posenc.modules import EncoderModule
from lightning_posenc.tasks import IGNORE

N_SEQUENCES = 3
MOST_TOKENS = 64


def probe(
    module: EncoderModule, longest: int, seed: int = 0, pad_token_id: int | None = None
) -> Batch:
    """Random inputs of a module: images, or token ids of which some sequences are padded.

    Args:
        module: Of whose kind they are.
        longest: The longest sequence that it may be given.
        seed: Of the draws.
        pad_token_id: Their filling, which is no token of a text.
    """
    draws = torch.Generator().manual_seed(seed)
    if isinstance(module.embedding, Patches):
        grid: Any = module.positional
        sides = (grid.height, grid.width)
        size = [n * p for n, p in zip(sides, module.embedding.patch_size, strict=True)]
        images = torch.randn(N_SEQUENCES, module.embedding.n_channels, *size, generator=draws)
        return Batch(images, torch.full((N_SEQUENCES,), IGNORE))
    assert isinstance(module.embedding, TokenEmbedding)
    tables = (getattr(part, "max_length", longest) for part in module.positional.modules())
    n_tokens = min(longest, MOST_TOKENS, *tables)
    n_ids = getattr(module, "vocab_size", module.embedding.vocab_size)
    tokens = torch.randint(n_ids, (N_SEQUENCES, n_tokens), generator=draws)
    if pad_token_id is not None:
        tokens = torch.where(tokens == pad_token_id, (pad_token_id + 1) % n_ids, tokens)
    lengths = torch.tensor([n_tokens, max(n_tokens // 2, 1), max(n_tokens - 1, 1)])
    return Batch(tokens, torch.full_like(tokens, IGNORE), lengths)


@torch.no_grad()
def largest_difference(module: EncoderModule, model: Any, batch: Batch) -> float:
    """The largest difference of two models' scores, of real tokens alone.

    Args:
        module: Ours.
        model: Theirs, or another of ours.
        batch: What both are given.
    """
    ours = module.eval().logits(batch)
    if isinstance(model, EncoderModule):
        theirs = model.eval().logits(batch)
    else:
        theirs = scores_of(model, batch)
    return float((_real(ours, batch) - _real(theirs, batch)[..., : ours.shape[-1]]).abs().max())


@torch.no_grad()
def scores_of(model: Any, batch: Batch) -> Tensor:
    """What a model of `transformers` says of a batch: (B, V) or (B, T, V)."""
    if batch.tokens.dim() == 4:
        return model(pixel_values=batch.tokens).logits
    tokens, mask = batch.tokens, None
    if batch.lengths is not None:
        seen = torch.arange(tokens.shape[1]) < batch.lengths[:, None]
        pad = model.config.pad_token_id
        tokens = tokens if pad is None else tokens.masked_fill(~seen, pad)
        mask = seen.long()
    return model(input_ids=tokens, attention_mask=mask).logits


def _real(scores: Tensor, batch: Batch) -> Tensor:
    if scores.dim() < 3 or batch.lengths is None:
        return scores
    return scores[torch.arange(scores.shape[1]) < batch.lengths[:, None]]
