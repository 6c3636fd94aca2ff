"""Continue texts, token by token or all at once.

Shapes: B prompts, T tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_posenc.data.saying import say
from lightning_posenc.modules.decoding import sample, stream
from lightning_posenc.modules.sampling import Sampling

BROKEN = "\ufffd"  # what stands for bytes that are no character, or not yet
Decode = Callable[[list[int]], str]


class Options(TypedDict, total=False):
    """How the next token is chosen: those of `modules.Sampling`, with its defaults."""

    temperature: float
    top_k: int | None
    top_p: float
    min_p: float
    repetition_penalty: float
    seed: int


class Prompted:
    """Prompts for a model that continues them.

    Args:
        module: The model, in evaluation mode.
        prompts: Token ids of each, at least one.
        new: Tokens that are said at most.
        end: The token that ends a sequence; None if none does.
        sampling: How the next token is chosen.
        trained: Tokens of the longest sequence of training; None if nobody knows.
        device: Where the model is.
        numbers: (B,) of the prompts, which decide what is drawn for each.
    """

    def __init__(
        self,
        module: Any,
        prompts: Sequence[Tensor],
        new: int,
        end: int | None,
        sampling: Sampling,
        trained: int | None,
        device: torch.device,
        numbers: Tensor,
    ) -> None:
        self.module = module
        self.lengths = torch.tensor([len(each) for each in prompts], device=device)
        self.tokens = pad_sequence(list(prompts), batch_first=True).to(device)
        self.new = new
        longest = int(self.lengths.max()) + new
        if trained is not None and longest > trained:
            say(
                f"beware: prompt and continuation are {longest} tokens, and the longest sequence "
                f"of training had {trained}: what is said beyond may be worse"
            )
        how = {"length": longest, "end": end, "sampling": sampling, "numbers": numbers}
        self.how: dict[str, Any] = how

    def all(self) -> list[list[int]]:
        """What is said behind each prompt, without the end."""
        say_them = getattr(self.module, "generate", None)  # of Hugging Face's, which say it so
        if say_them is None:
            said = sample(self.module, self.tokens, self.lengths, **self.how)
        else:
            said = say_them(self.tokens, self.lengths, **self.how)
        rows = zip(said.tolist(), self.lengths.tolist(), strict=True)
        return [self._ended(row[n : n + self.new]) for row, n in rows]

    def tokens_one_by_one(self) -> Iterator[int]:
        """What is said behind the first prompt, as soon as it is said."""
        if hasattr(self.module, "generate"):
            yield from self.all()[0]
            return
        for token in stream(self.module, self.tokens, self.lengths, **self.how):
            if (number := int(token)) == self.how["end"]:
                return
            yield number

    def _ended(self, said: list[int]) -> list[int]:
        end = self.how["end"]
        return said[: said.index(end)] if end in said else said


def pieces(tokens: Iterator[int], decode: Decode) -> Iterator[str]:
    """Text of tokens as they come, whole characters at a time: together that of all.

    A token may be a part of a character, and a tokenizer may decode one differently behind another;
    so each piece is what the last ones' text becomes longer by.

    Args:
        tokens: One after the other.
        decode: Text of ids.
    """
    window: list[int] = []
    n_said = 0  # of the window's tokens, those whose text was given
    for token in tokens:
        window.append(token)
        before, now = decode(window[:n_said]), decode(window)
        if len(now) > len(before) and not now.endswith(BROKEN):
            yield now[len(before) :]
            window = window[n_said:]
            n_said = len(window)
    if n_said < len(window) and (rest := decode(window)[len(decode(window[:n_said])) :]):
        yield rest
