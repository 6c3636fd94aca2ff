"""Say one token after the other.

Shapes: B sequences, P tokens of the shortest prompt, T tokens, D = d_model, V token ids.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from lightning_posenc.checks import wrong
from lightning_posenc.model.door import checked_tokens
from lightning_posenc.model.encoder import Encoder
from lightning_posenc.model.inputs import TokenEmbedding
from lightning_posenc.modules.stepwise import Stepwise


class CausalModel(Protocol):
    """What `greedy` needs of a model: `TokenClassifier` and `LanguageModel` have it."""

    encoder: Encoder
    embedding: nn.Module

    def scores(self, states: Tensor) -> Tensor:
        """Map (…, D) to (…, V)."""


@torch.no_grad()
def greedy(
    model: CausalModel,
    tokens: Tensor,
    prompt_lengths: Tensor | None = None,
    *,
    length: int | None = None,
    use_cache: bool = True,
) -> Tensor:
    """Continue prompts, always with the likeliest next token.

    Args:
        model: A causal model in evaluation mode.
        tokens: (B, T'), of which row i begins with a prompt; what follows it is not read.
        prompt_lengths: (B,) tokens of each prompt, in 1..T'; None if all T' belong to it.
        length: T, tokens of the result, at least T'; None for T'.
        use_cache: Whether keys and values are remembered: the same result, in O(T²) and not O(T³).
            In a window of w, with sinks or without, in memory of w and O(T·w).
            Positions that depend on the tokens are read from those said so far, at every step.

    Returns:
        (B, T), the prompts and what follows.

    Raises:
        ValueError: If the model is not causal, a prompt is empty, or the encoding cannot serve the
            length, or cannot go on from remembered keys, as where new tokens change the positions
            of earlier ones.
    """
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise wrong("greedy", "model", model, "have an encoder, as a LanguageModel has")
    if not encoder.dims.causal:
        raise ValueError("greedy decoding needs a causal model: set model.causal=true")
    embedding = model.embedding
    if not isinstance(embedding, TokenEmbedding):
        name = type(embedding).__name__
        raise ValueError(f"greedy decoding says token ids, which the model's {name} does not take")
    prompts = checked_prompts(tokens, prompt_lengths, length, embedding.vocab_size)
    n_sequences, length = prompts.said.shape
    steps = Stepwise(encoder, embedding, model.scores, n_sequences, length, use_cache)
    return continued(prompts, steps)


class Prompts(NamedTuple):
    """What is to be continued.

    Args:
        said: (B, T) token ids, of which each row begins with its prompt.
        lengths: (B,) tokens of each prompt.
        start: Tokens of the shortest.
    """

    said: Tensor
    lengths: Tensor
    start: int


def checked_prompts(
    tokens: Tensor, prompt_lengths: Tensor | None, length: int | None, vocab_size: int
) -> Prompts:
    """Prompts in a tensor of the result's length.

    Args:
        tokens: As in `greedy`.
        prompt_lengths: As in `greedy`.
        length: As in `greedy`.
        vocab_size: Ids that the model knows.

    Raises:
        ValueError: If they are none, a prompt is empty, or longer than the result.
    """
    if not isinstance(tokens, Tensor):
        raise wrong("greedy", "tokens", tokens, "be token ids (B, T), which a vocabulary encodes")
    if tokens.dim() != 2:
        raise ValueError(
            f"greedy decoding: tokens must be whole numbers (B, T), got {tuple(tokens.shape)}"
        )
    n_sequences, given = tokens.shape
    length = given if length is None else length
    if prompt_lengths is None:
        prompt_lengths = torch.full((n_sequences,), given, device=tokens.device)
    whole = prompt_lengths.dtype in (torch.int64, torch.int32)
    if prompt_lengths.shape != (n_sequences,) or not whole:
        raise ValueError(
            f"greedy decoding: prompt_lengths must be whole numbers ({n_sequences},), one for each "
            f"prompt, got {tuple(prompt_lengths.shape)} of {prompt_lengths.dtype}"
        )
    start, end = (int(n) for n in prompt_lengths.aminmax()) if n_sequences else (given, given)
    if not 1 <= start <= end <= given <= length:
        raise ValueError(
            f"greedy decoding: prompts of {start} to {end} tokens in {given} must become {length}: "
            "give at least one token each, no more than there are, and a length not below theirs"
        )
    beyond = torch.arange(given, device=tokens.device) >= prompt_lengths[:, None]
    read = checked_tokens(tokens.masked_fill(beyond, 0), vocab_size)
    said = nn.functional.pad(read, (0, length - given))
    return Prompts(said, prompt_lengths, start)


def continued(prompts: Prompts, scores: Callable[[Tensor], Tensor]) -> Tensor:
    """Say the likeliest next token, again and again.

    Args:
        prompts: What is continued, in place.
        scores: Maps what is said so far, (B, t), to the scores of what follows, (B, V); t grows by
            1 from call to call.

    Returns:
        (B, T).
    """
    said = prompts.said
    for now in range(prompts.start, said.shape[1]):
        likeliest = scores(said[:, :now]).argmax(dim=-1)
        said[:, now] = torch.where(now < prompts.lengths, said[:, now], likeliest)
    return said
