"""Methods that put keys at other distances than their own, within attention itself."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightning_posenc.compat.transformers import own_attention
from lightning_posenc.positional.rotary.laws import Law, TrueDistance
from lightning_posenc.pretrained.frequencies import FrequencyMap, turned
from lightning_posenc.pretrained.methods.base import Method, not_rotary, rotary, trained_length
from lightning_posenc.pretrained.methods.distances import LOGITS, Layout, attend
from lightning_posenc.pretrained.methods.positions_seen import positions_seen
from lightning_posenc.pretrained.reading import Pretrained

N_TRIED = 12  # tokens on which a family is tried before anything is changed
_OTHER = (
    "its attention is not the plain one that can be replaced: with every key at its own distance "
    "its logits change"
)
SAME = 1e-3  # largest difference of two ways to one result, in shares of the largest entry


class TurnedByDistance(Method):
    """Replaces the attention of every layer by one that turns queries and keys by a `Law`.

    The frequencies stay the trained ones. Within, the model's own rotation is stopped, so that
    queries and keys, those of the cache too, come to attention as they are.

    Args:
        most_logits: How many are held at once, which bounds the memory; at least 1.
    """

    def __init__(self, most_logits: int = LOGITS) -> None:
        self.most_logits = most_logits

    @abstractmethod
    def law(self, trained_length: int, to: int) -> Law:
        """Where keys are put.

        Raises:
            ValueError: If the method's arguments do not go with these lengths.
        """

    def refuses(self, pretrained: Pretrained, to: int) -> str | None:
        reason = self._refuses_by_words(pretrained, to)
        return reason or (_OTHER if _layout(pretrained) is None else None)

    def _refuses_by_words(self, pretrained: Pretrained, to: int) -> str | None:
        """What can be told without trying the model."""
        if (reason := not_rotary(pretrained, to)) is not None:
            return reason
        where = rotary(pretrained)
        if pretrained.kind != "causal":
            return "its attention looks ahead too, where no distance is defined"
        if len(where.maps) > 1 or where.without:
            return "its layers know order in more than one way"
        try:
            self.law(trained_length(pretrained), to)
        except ValueError as error:
            return str(error)
        return None

    @contextmanager
    def applied(self, pretrained: Pretrained, to: int) -> Iterator[None]:
        reason = self._refuses_by_words(pretrained, to)
        layout = _layout(pretrained) if reason is None else None
        if layout is None:
            raise ValueError(f"{self.name}: {reason or _OTHER}")
        law = self.law(trained_length(pretrained), to)
        with attending(pretrained, law, layout, self.most_logits):
            yield

    def cannot_be_saved(self, pretrained: Pretrained, to: int) -> str | None:
        return (
            "it changes how attention computes, which no config says: only code that comes with a "
            "checkpoint could, and such code is not written here"
        )

    def spelling(self, pretrained: Pretrained, to: int) -> dict[str, Any]:
        self.check(pretrained, to, saved=True)
        raise AssertionError("a method that can be saved says how")


@contextmanager
def attending(
    pretrained: Pretrained, law: Law, layout: Layout, most_logits: int = LOGITS
) -> Iterator[None]:
    """Within, a causal model whose layers all have one rotary map attends by a law."""
    (now,) = rotary(pretrained).maps.values()
    still = FrequencyMap(torch.zeros_like(now.inv_freq), now.temperature)
    with ExitStack() as within:
        within.enter_context(turned(pretrained.model, still))
        seen = within.enter_context(positions_seen(pretrained.model))

        def attention(
            module: nn.Module, query: Tensor, key: Tensor, value: Tensor,
            attention_mask: Tensor | None, scaling: float | None = None, dropout: float = 0.0,
            **others: Any,
        ) -> tuple[Tensor, None]:  # fmt: skip
            _check_plain(attention_mask, dropout, others)
            queries, keys = seen.of(len(query), query.shape[2], key.shape[2])
            scale = query.shape[-1] ** -0.5 if scaling is None else scaling
            mixed = attend(
                query, key, value, law, now.inv_freq, queries, keys, attention_mask, scale,
                layout, most_logits,
            )  # fmt: skip
            return mixed, None

        within.enter_context(own_attention(pretrained.model, attention))
        yield


class _NotPlain(Exception):
    """A family's attention does more than softmax(q·k) v."""


def _check_plain(mask: Tensor | None, dropout: float, others: dict[str, Any]) -> None:
    if mask is not None and mask.dtype != torch.bool:
        raise _NotPlain("a mask that adds to the logits")
    if dropout:
        raise ValueError("attention by a law of distances has no dropout: call model.eval()")
    for name in ("softcap", "s_aux", "position_bias"):
        if others.get(name) is not None:
            raise _NotPlain(name)


def _layout(pretrained: Pretrained) -> Layout | None:
    """Which channels of a family make a pair; None if its attention is not a plain one.

    Found by trial: every key at its own distance must give the model's own logits.
    """
    model: Any = pretrained.model
    size = min(model.get_input_embeddings().num_embeddings, N_TRIED)
    tokens = torch.arange(N_TRIED, device=model.device).unsqueeze(0) % size
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            expected = model(input_ids=tokens, use_cache=False)[0].float()
            for layout in ("half", "interleaved"):
                try:
                    with attending(pretrained, TrueDistance(), layout):
                        found = model(input_ids=tokens, use_cache=False)[0].float()
                except (_NotPlain, TypeError, KeyError, RuntimeError, ValueError):
                    return None
                if (found - expected).abs().max() <= _tolerance(found, model.dtype):
                    return layout
    finally:
        model.train(was_training)
    return None


def _tolerance(logits: Tensor, dtype: torch.dtype) -> float:
    coarse = 16 * torch.finfo(dtype).eps  # layers round one after another
    return max(SAME, coarse) * float(logits.abs().max())
