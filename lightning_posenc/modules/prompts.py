"""What is to be continued.

Shapes: B sequences, T tokens.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.checks import whole, wrong
from lightning_posenc.model.door import checked_tokens

_WHOLE = (torch.int64, torch.int32)


class Prompts(NamedTuple):
    """What is to be continued.

    Args:
        said: (B, T) token ids, of which each row begins with its prompt.
        lengths: (B,) tokens of each prompt.
        start: Tokens of the shortest.
        numbers: (B,) numbers of the sequences.
        end: The token that ends a sequence; None if none does.
    """

    said: Tensor
    lengths: Tensor
    start: int
    numbers: Tensor
    end: int | None


def checked_prompts(
    tokens: Tensor,
    prompt_lengths: Tensor | None,
    length: int | None,
    vocab_size: int,
    numbers: Tensor | None = None,
    end: int | None = None,
) -> Prompts:
    """Prompts in a tensor of the result's length.

    Args:
        tokens: As in `sample`.
        prompt_lengths: As in `sample`.
        length: As in `sample`.
        vocab_size: Ids that the model knows.
        numbers: As in `sample`.
        end: As in `sample`.

    Raises:
        ValueError: If they are none, a prompt is empty, or longer than the result, or an
            option names no token.
    """
    if not isinstance(tokens, Tensor):
        raise wrong("decoding", "tokens", tokens, "be token ids (B, T), which a vocabulary encodes")
    if tokens.dim() != 2:
        raise ValueError(
            f"decoding: tokens must be whole numbers (B, T), got {tuple(tokens.shape)}"
        )
    n_sequences, given = tokens.shape
    length = given if length is None else whole("decoding", "length", length, 0)
    if prompt_lengths is None:
        prompt_lengths = torch.full((n_sequences,), given, device=tokens.device)
    if not isinstance(prompt_lengths, Tensor):
        allowed = f"be a tensor of whole numbers ({n_sequences},), one for each prompt"
        raise wrong("decoding", "prompt_lengths", prompt_lengths, allowed)
    if prompt_lengths.shape != (n_sequences,) or prompt_lengths.dtype not in _WHOLE:
        raise ValueError(
            f"decoding: prompt_lengths must be whole numbers ({n_sequences},), one for each "
            f"prompt, got {tuple(prompt_lengths.shape)} of {prompt_lengths.dtype}"
        )
    start, longest = (int(n) for n in prompt_lengths.aminmax()) if n_sequences else (given, given)
    if not 1 <= start <= longest <= given <= length:
        raise ValueError(
            f"decoding: prompts of {start} to {longest} tokens in {given} must become {length}: "
            "give at least one token each, no more than there are, and a length not below theirs"
        )
    beyond = torch.arange(given, device=tokens.device) >= prompt_lengths[:, None]
    read = checked_tokens(tokens.masked_fill(beyond, 0), vocab_size)
    said = nn.functional.pad(read, (0, length - given))
    if end is not None:
        end = whole("decoding", "end", end, 0, vocab_size - 1)
    return Prompts(said, prompt_lengths, start, _checked_numbers(numbers, n_sequences), end)


def _checked_numbers(numbers: Tensor | None, n_sequences: int) -> Tensor:
    if numbers is None:
        return torch.arange(n_sequences)
    fits = isinstance(numbers, Tensor) and numbers.dtype in _WHOLE
    if not fits or numbers.shape != (n_sequences,) or bool((numbers < 0).any()):
        allowed = f"be whole numbers ({n_sequences},) from 0, one for each sequence"
        raise wrong("decoding", "numbers", numbers, allowed)
    return numbers
