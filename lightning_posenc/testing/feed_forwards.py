"""How is a feed-forward judged? The promises of every one, held against anybody's class.

Shapes: B sequences, T tokens, D = d_model.
"""

from collections.abc import Callable
from functools import partial

import torch

from lightning_posenc.checks import maker
from lightning_posenc.model.feed_forward import FeedForward, FeedForwardFactory
from lightning_posenc.model.penalties import penalties
from lightning_posenc.positional import RoPE
from lightning_posenc.positions import Places
from lightning_posenc.testing import parts, whole_models
from lightning_posenc.testing.case import Case
from lightning_posenc.testing.check import Check, Promise, expect, expect_same, hold
from lightning_posenc.testing.models import encoder, tokens
from lightning_posenc.testing.sizes import dims


def check_feed_forward(make: FeedForwardFactory) -> None:
    """Hold a feed-forward against all that every one promises; it takes seconds.

    Args:
        make: The class, if its arguments but `dims` and `layer` have defaults; else
            `partial(MyFeedForward, …)`.

    Raises:
        AssertionError: Telling of every broken promise: what was promised, seen, and is to be done.
        ValueError: If it makes no feed-forward.
    """
    hold(feed_forward_checks(make))


def feed_forward_checks(make: FeedForwardFactory) -> list[Check]:
    """Give the same one by one, for a test that is parametrised over them."""
    maker("check_feed_forward", "make", make, FeedForward, dims(True), 0)
    subject = type(make(dims(True), 0)).__name__
    case = Case(subject, RoPE, wiring={"feed_forward": make})
    return [
        Check(subject, run.__name__, promise, partial(run, case, True))
        for run, promise in _PROMISES.items()
    ]


def each_token_is_mapped_alone(case: Case, causal: bool) -> None:
    """In evaluation no token sees another, be it before it or after."""
    (part,) = parts.parts_of(encoder(case, causal, 1), "feed_forward")
    x = tokens()
    together, alone = (
        part(each, *_told(part, each.shape[1])) for each in (x, x.flatten(0, 1).unsqueeze(1))
    )
    expect_same(together.flatten(0, 1), alone.squeeze(1), 1e-5, "tokens among others and alone")


def _told(part: parts.Part, n_tokens: int) -> tuple[Places, ...]:
    """What a feed-forward is called with besides."""
    reads = isinstance(part, FeedForward) and part.reads_places
    return (Places(torch.arange(n_tokens).unsqueeze(0)),) if reads else ()


def gradients_reach_every_parameter(case: Case, causal: bool) -> None:
    """In training some entry of each has a gradient, and all are finite."""
    parts.expect_learning(encoder(case, causal).train(), "feed_forward")


def starts_small_in_deep_models(case: Case, causal: bool) -> None:
    """What it adds to the residual stream is at first proportional to `depth_scale`."""
    parts.expect_small_start(case, causal, "feed_forward")


def penalty_can_be_trained_on(case: Case, causal: bool) -> None:
    """If it asks for one after a forward pass in training: a finite scalar with a gradient."""
    model = encoder(case, causal).train()
    model(tokens())
    penalty = penalties(model)
    if penalty is not None:
        term = torch.as_tensor(penalty)
        expect(term.isfinite(), f"a penalty of {term.item()}")
        expect(term.requires_grad, "a penalty that no parameter changes")


_ALONE = Promise(
    "a token's output depends on that token alone",
    "mean, sum or normalise over the last axis only; what mixes tokens is a Mixer",
)
_PROMISES: dict[Callable[..., None], Promise] = {
    each_token_is_mapped_alone: _ALONE,
    **parts.IN_A_MODEL,
    whole_models.bfloat16_autocast_is_near_float32: Promise(
        "under bfloat16 autocast outputs stay near those in float32",
        "compute norms, and choose among experts, in float32 with autocast off",
    ),
    whole_models.future_does_not_reach_the_past: _ALONE,
    whole_models.padded_batch_equals_each_sequence_alone: Promise(
        "padding changes nothing for the tokens before it",
        "of the places that `reads_places` asks for, `lengths` says which tokens are padding",
    ),
    whole_models.packed_documents_equal_each_document_alone: _ALONE,
    gradients_reach_every_parameter: parts.LEARNS,
    starts_small_in_deep_models: parts.STARTS_SMALL,
    penalty_can_be_trained_on: Promise(
        "what `penalty()` asks to be added to the loss can be trained on",
        "return a scalar that is computed from parameters, or None",
    ),
}
