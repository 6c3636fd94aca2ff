"""The loss of every token, and what context is worth to it.

Shapes: B sequences, T tokens, t of them at a time, V symbols.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.checks import whole
from lightning_posenc.pretrained.evaluating.logits import logits_by_rows

if TYPE_CHECKING:
    from lightning_posenc.pretrained.reading import Pretrained

TOKENS = 8192  # at a time, of several sequences where they are short
EVERY = 8  # one token of so many is masked


def losses(pretrained: "Pretrained", tokens: Tensor, **inputs: Any) -> Tensor:
    """Score each token, given those before it; of a masked model, given those around it.

    Args:
        pretrained: A causal or a masked language model.
        tokens: (B, T) ids, B >= 1, T >= 2.
        **inputs: Of its forward, such as `position_ids` (B|1, T).

    Returns:
        Negative log-likelihoods in nats, float32 on the CPU. Causal: (B, T - 1), of token i + 1 at
        i. Masked: (B, T), NaN where a token was not masked, as in `masked_losses`.

    Raises:
        ValueError: If the model is of another kind, or tells no mask token.
    """
    if pretrained.kind == "masked" and pretrained.has_head:
        return masked_losses(pretrained, tokens, **inputs)
    if pretrained.kind != "causal" or not pretrained.has_head:
        raise ValueError(
            f"{pretrained.name}: the loss of running text is asked of a causal or a masked "
            f"language model with its head; this is {_described(pretrained)}"
        )
    if tokens.shape[1] < 2:
        raise ValueError(f"losses: of {tokens.shape[1]} token there is none to predict: give 2")
    return _cat(
        _scored(pretrained.model, some[:, :-1], some[:, 1:], given)
        for some, given in _portions(tokens, inputs, cut=1)
    )


def masked_losses(
    pretrained: "Pretrained", tokens: Tensor, every: int = EVERY, **inputs: Any
) -> Tensor:
    """Score masked tokens, given all others: of sequence b those at t with (t + b) % every = 0.

    So `every` sequences together score every place. One forward pass for each sequence; Salazar et
    al. 2020 (arXiv:1910.14659) mask one token at a time, T passes, and so always have all others.

    Args:
        pretrained: A masked language model whose tokenizer, or config, tells the mask token.
        tokens: (B, T) ids.
        every: One token of so many is masked, in [2, T].
        **inputs: Of its forward.

    Returns:
        (B, T) in nats, NaN where a token was not masked.
    """
    given, masked = masked_out(pretrained, tokens, every)
    found = _cat(
        _scored(pretrained.model, some[:, 0], some[:, 1], more)
        for some, more in _portions(torch.stack([given, tokens], dim=1), inputs)
    )
    return found.masked_fill(~masked.cpu(), torch.nan)


def masked_out(
    pretrained: "Pretrained", tokens: Tensor, every: int = EVERY
) -> tuple[Tensor, Tensor]:
    """The tokens with some masked, and which these are, both (B, T); as of `masked_losses`."""
    whole(masked_losses, "every", every, 2, tokens.shape[1])
    of_sequence = torch.arange(len(tokens), device=tokens.device)[:, None]
    masked = (torch.arange(tokens.shape[1], device=tokens.device) + of_sequence) % every == 0
    return tokens.masked_fill(masked, mask_token(pretrained)), masked


def mask_token(pretrained: "Pretrained") -> int:
    """The id of the token that stands for a hidden one.

    Raises:
        ValueError: If neither tokenizer nor config tells it.
    """
    for owner in (pretrained.tokenizer, pretrained.model.config):
        if (found := getattr(owner, "mask_token_id", None)) is not None:
            return int(found)
    raise ValueError(f"{pretrained.name}: no tokenizer tells which token is the mask")


def losses_by_context(
    pretrained: "Pretrained", tokens: Tensor, contexts: Sequence[int], prefix: Sequence[int] = ()
) -> dict[int, Tensor]:
    """Score the ends of the same sequences, with less and less before them.

    Args:
        pretrained: A causal language model.
        tokens: (B, T) ids.
        contexts: How many of the last tokens the model is given, in [2 + len(prefix), T].
        prefix: Ids that begin every sequence that the model was trained on: in place of the first
            ones of a context.

    Returns:
        By context n, shortest first, the losses (B, n - 1) in nats. `last_losses` of any two are of
        the same tokens.
    """
    n_tokens = tokens.shape[1]
    begin = tokens.new_tensor(list(prefix)).expand(len(tokens), -1)
    found = {}
    for context in sorted(set(contexts)):
        whole(losses_by_context, "contexts", context, 2 + len(prefix), n_tokens)
        seen = torch.cat([begin, tokens[:, n_tokens - context + len(prefix) :]], dim=1)
        found[context] = losses(pretrained, seen)
    return found


def last_losses(found: Tensor, n_last: int) -> Tensor:
    """The mean (B,) of each sequence's last losses, of (B, T - 1)."""
    whole(last_losses, "n_last", n_last, 1, found.shape[1])
    return found[:, -n_last:].mean(dim=1)


def by_place(found: Tensor, n_bins: int) -> tuple[list[tuple[int, int]], Tensor]:
    """Mean losses of successive stretches of places.

    Args:
        found: (B, N) losses, NaN where there is none.
        n_bins: Stretches, each twice as wide as the one before where that leaves each a place.

    Returns:
        First place and the one after the last of each stretch; means (B, n_bins), NaN where a
        sequence has none scored there.
    """
    doublings = torch.linspace(0, math.log2(found.shape[1] + 1), n_bins + 1).tolist()
    edges = sorted({round(2.0**x) - 1 for x in doublings})
    stretches = [*pairwise(edges)]
    return stretches, torch.stack([found[:, a:b].nanmean(dim=1) for a, b in stretches], dim=1)


def _described(pretrained: "Pretrained") -> str:
    return f"of kind {pretrained.kind}" + ("" if pretrained.has_head else ", without a head")


def _portions(
    tokens: Tensor, inputs: dict[str, Any], cut: int = 0
) -> Iterator[tuple[Tensor, dict[str, Any]]]:
    """A few sequences at a time, and what else the model is given of them."""
    n_tokens = tokens.shape[-1]
    step = max(1, TOKENS // n_tokens)
    for start in range(0, len(tokens), step):
        rows = slice(start, start + step)
        given = {
            name: (value[rows] if len(value) == len(tokens) else value)[:, : n_tokens - cut]
            for name, value in inputs.items()
        }
        yield tokens[rows], given


@torch.no_grad()
def _scored(model: Any, tokens: Tensor, targets: Tensor, inputs: dict[str, Any]) -> Tensor:
    """Losses (B, T) of a target at each token."""
    targets = targets.to(model.device)
    found = targets.new_empty(targets.shape, dtype=torch.float32)
    for rows, logits in logits_by_rows(model, tokens, **inputs):
        some = F.cross_entropy(
            logits.float().flatten(0, 1), targets[:, rows].flatten(), reduction="none"
        )
        found[:, rows] = some.view(len(tokens), -1)
    return found.cpu()


def _cat(parts: Iterator[Tensor]) -> Tensor:
    return torch.cat(list(parts))
