"""Say one token after the other.

Shapes: B sequences, P tokens of the shortest prompt, T tokens, D = d_model, V token ids.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from lightning_posenc.checks import wrong
from lightning_posenc.model.encoder import Encoder
from lightning_posenc.model.inputs import TokenEmbedding
from lightning_posenc.modules.prompts import Prompts, checked_prompts
from lightning_posenc.modules.sampling import FREE, GREEDY, Sampling, checked_sampling
from lightning_posenc.modules.stepwise import Stepwise


class CausalModel(Protocol):
    """What `sample` needs of a model: `TokenClassifier` and `LanguageModel` have it."""

    encoder: Encoder
    embedding: nn.Module

    def scores(self, states: Tensor) -> Tensor:
        """Map (…, D) to (…, V)."""


def greedy(
    model: CausalModel,
    tokens: Tensor,
    prompt_lengths: Tensor | None = None,
    *,
    length: int | None = None,
    end: int | None = None,
    use_cache: bool = True,
) -> Tensor:
    """Continue prompts, always with the likeliest next token: `sample` at temperature 0.

    Args:
        model: As in `sample`, as are the others.
        tokens: (B, T').
        prompt_lengths: (B,).
        length: T.
        end: The token that ends a sequence.
        use_cache: Whether keys and values are remembered.

    Returns:
        (B, T), the prompts and what follows; less than T if all have ended before.

    Raises:
        ValueError: As `sample` does.
    """
    prompts = _checked(model, tokens, prompt_lengths, length, None, end)
    return continued(prompts, _steps(model, prompts, use_cache))


def sample(
    model: CausalModel,
    tokens: Tensor,
    prompt_lengths: Tensor | None = None,
    *,
    length: int | None = None,
    sampling: Sampling = FREE,
    end: int | None = None,
    numbers: Tensor | None = None,
    use_cache: bool = True,
) -> Tensor:
    """Continue prompts.

    Example:
        >>> from lightning_posenc.model import EncoderSpec
        >>> from lightning_posenc.modules import LanguageModel, Sampling, sample
        >>> model = LanguageModel(EncoderSpec(d_model=32), vocab_size=50).eval()
        >>> prompts = torch.tensor([[3, 1, 4], [1, 5, 0]])  # the second has two tokens
        >>> sampling = Sampling(temperature=0.8, top_k=20, seed=1)
        >>> sample(model, prompts, torch.tensor([3, 2]), length=10, sampling=sampling).shape
        torch.Size([2, 10])

    Args:
        model: A causal model in evaluation mode.
        tokens: (B, T'), of which row i begins with a prompt; what follows it is not read.
        prompt_lengths: (B,) tokens of each prompt, in 1..T'; None if all T' belong to it.
        length: T, tokens of the result, at least T'; None for T'.
        sampling: How the next token is chosen; by default drawn from all, at temperature 1.
        end: The token that ends a sequence; what would follow it is the end again, and when all
            sequences have ended, no more is said. In a prompt it ends nothing. None for none.
        numbers: (B,) whole numbers of the sequences, from 0: what is drawn for a sequence depends
            on its own, so that it is the same in any batch. None for 0, 1, 2, …
        use_cache: Whether keys and values are remembered: the same result, in O(T²) and not O(T³).
            In a window of w, with sinks or without, in memory of w and O(T·w).
            Positions that depend on the tokens are read from those said so far, at every step.

    Returns:
        (B, T), the prompts and what follows; less than T if all have ended before.

    Raises:
        ValueError: If the model is not causal, a prompt is empty, or the encoding cannot serve the
            length, or cannot go on from remembered keys, as where new tokens change the positions
            of earlier ones.
    """
    checked_sampling(sampling)
    prompts = _checked(model, tokens, prompt_lengths, length, numbers, end)
    return continued(prompts, _steps(model, prompts, use_cache), sampling)


def stream(
    model: CausalModel,
    tokens: Tensor,
    prompt_lengths: Tensor | None = None,
    *,
    length: int | None = None,
    sampling: Sampling = FREE,
    end: int | None = None,
    numbers: Tensor | None = None,
    use_cache: bool = True,
) -> Iterator[Tensor]:
    """Continue prompts, and give every token as soon as it is said.

    Args:
        model: As in `sample`, as are the others.
        tokens: (B, T').
        prompt_lengths: (B,).
        length: T.
        sampling: How the next token is chosen.
        end: The token that ends a sequence.
        numbers: (B,).
        use_cache: Whether keys and values are remembered.

    Yields:
        (B,) the tokens behind the shortest prompt, one of each sequence at a time; of a longer
        prompt its own come first.

    Raises:
        ValueError: As `sample` does, before the first token.
    """
    checked_sampling(sampling)
    prompts = _checked(model, tokens, prompt_lengths, length, numbers, end)
    return continuing(prompts, _steps(model, prompts, use_cache), sampling)


def _checked(
    model: CausalModel,
    tokens: Tensor,
    prompt_lengths: Tensor | None,
    length: int | None,
    numbers: Tensor | None,
    end: int | None,
) -> Prompts:
    """The prompts of a model that can continue some."""
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise wrong("decoding", "model", model, "have an encoder, as a LanguageModel has")
    if not encoder.dims.causal:
        raise ValueError("decoding needs a causal model: set model.causal=true")
    embedding = model.embedding
    if not isinstance(embedding, TokenEmbedding):
        name = type(embedding).__name__
        raise ValueError(f"decoding says token ids, which the model's {name} does not take")
    return checked_prompts(tokens, prompt_lengths, length, embedding.vocab_size, numbers, end)


def _steps(model: CausalModel, prompts: Prompts, use_cache: bool) -> Stepwise:
    embedding = cast(TokenEmbedding, model.embedding)
    n_sequences, length = prompts.said.shape
    return Stepwise(model.encoder, embedding, model.scores, n_sequences, length, use_cache)


def continued(
    prompts: Prompts, scores: Callable[[Tensor], Tensor], sampling: Sampling = GREEDY
) -> Tensor:
    """Say one token after the other.

    Args:
        prompts: As in `continuing`, as are the others.
        scores: Of what follows.
        sampling: How the next token is chosen.

    Returns:
        (B, T), or less if all have ended before.
    """
    n_said = sum(1 for _ in continuing(prompts, scores, sampling))
    return prompts.said[:, : prompts.start + n_said]


def continuing(
    prompts: Prompts, scores: Callable[[Tensor], Tensor], sampling: Sampling = GREEDY
) -> Iterator[Tensor]:
    """Say one token after the other, and give each.

    Args:
        prompts: What is continued, in place.
        scores: Maps what is said so far, (B, t), to the scores of what follows, (B, V); t grows by
            1 from call to call.
        sampling: How the next token is chosen.

    Yields:
        (B,) tokens.
    """
    said, end, n_tokens = prompts.said, prompts.end, prompts.said.shape[1]
    drawn = sampling.drawn(prompts.numbers, n_tokens, said.device)
    ended = torch.zeros_like(said[:, 0], dtype=torch.bool)
    longest = int(prompts.lengths.max()) if len(said) else 0
    for now in range(prompts.start, n_tokens):
        with torch.inference_mode():  # not around what is done with a token
            before = said[:, :now]
            decided = None if drawn is None else drawn[:, now]
            following = sampling.chosen(scores(before), before, decided)
            if end is not None:
                following = following.masked_fill(ended, end)
            if now < longest:
                following = torch.where(now < prompts.lengths, said[:, now], following)
            said[:, now] = following
            if end is not None:
                ended |= (following == end) & (now >= prompts.lengths)
        yield said[:, now].clone()  # whoever writes into it changes nothing that is said
        if end is not None and bool(ended.all()):
            return
