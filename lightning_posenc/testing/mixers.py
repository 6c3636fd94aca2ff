"""How is a mixer judged? What it says it serves it must serve, and refuse the rest in one line.

Shapes: B sequences, T tokens, D = d_model.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.checks import maker
from lightning_posenc.masks import Window
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.mixers import Mixer, MixerFactory
from lightning_posenc.model.mixers.base import SERVICES
from lightning_posenc.positional import ALiBi, Factory, NoPE, PositionalEncoding, RoPE, Site
from lightning_posenc.positional.base import HOOKS, Rescore, overridden
from lightning_posenc.testing import parts, whole_models
from lightning_posenc.testing.case import Case, in_rows_of_two, unplaced
from lightning_posenc.testing.check import Check, Promise, expect, expect_refusal, expect_same, hold
from lightning_posenc.testing.models import encoder, tokens
from lightning_posenc.testing.sizes import LENGTH, dims


def check_mixer(make: MixerFactory) -> None:
    """Hold a mixer against all that every mixer promises; it takes seconds.

    Args:
        make: The class, if its arguments but `dims` and `layer` have defaults; else
            `partial(MyMixer, …)`.

    Raises:
        AssertionError: Telling of every broken promise: what was promised, seen, and is to be done.
        ValueError: If it makes no mixer.
    """
    hold(mixer_checks(make))


def mixer_checks(make: MixerFactory) -> list[Check]:
    """Give the same one by one, for a test that is parametrised over them."""
    maker("check_mixer", "make", make, Mixer, dims(True), 0)
    made = make(dims(True), 0)
    subject = type(made).__name__

    def check(
        run: Callable[..., None], promise: Promise, causal: bool, of: Any = make, **more: Any
    ) -> Check:
        way = "causal" if causal else "bidirectional"
        name = "-".join([run.__name__, *map(str, more.values()), way])
        return Check(subject, name, promise, partial(run, of, causal, **more))

    def checks() -> Iterator[Check]:
        yield Check(
            subject, says_what_it_serves.__name__, _SAYS, partial(says_what_it_serves, made)
        )
        for causal in (False, True):
            if ("causal" if causal else "bidirectional") not in made.serves:
                yield check(direction_is_refused, _REFUSED, causal)
                continue
            for run, promise in (parts.IN_A_MODEL | (_CAUSAL if causal else {})).items():
                yield check(run, promise, causal, case_of(make))
            for run, promise in _OF_A_MIXER.items():
                yield check(run, promise, causal)
            for service in ("mask", "padding", "documents", "cache"):
                if service != "cache" or causal:
                    yield check(serves_or_refuses, _SERVED, causal, service=service)
            for name, encoding in _PLACED.items():
                asked = overridden(encoding, HOOKS)
                if causal and "cache" in made.serves and made.hooks.issuperset(asked):
                    yield check(remembers_places, _SERVED, causal, positional=name)
            for hook in sorted(HOOKS):
                yield check(honours_or_refuses, _HONOURED, causal, hook=hook)

    return list(checks())


def case_of(make: MixerFactory, positional: Factory = NoPE) -> Case:
    """A model of the mixer, without positions unless an encoding is given, as `models` makes it.

    The tokens of one that wants a grid stand in rows of two.
    """
    mixer = make(dims(True), 0)
    place = in_rows_of_two if mixer.on_grid else unplaced
    return Case("mixer", positional, limit=mixer.longest, place=place, wiring={"mixer": make})


def says_what_it_serves(mixer: Mixer) -> None:
    """In words that an encoder knows, and one direction at least."""
    strange = sorted(mixer.serves - SERVICES) + sorted(mixer.hooks - HOOKS)
    expect(not strange, f"unknown words: {', '.join(strange)}")
    served = mixer.serves & {"causal", "bidirectional"}
    expect(bool(served), "it serves neither causal nor bidirectional models")


def direction_is_refused(make: MixerFactory, causal: bool) -> None:
    """A model of the other direction is not built."""
    expect_refusal(lambda: encoder(case_of(make), causal), type(make(dims(True), 0)).__name__)


def tokens_reach_each_other(make: MixerFactory, causal: bool) -> None:
    """The last output depends on the first token, in one layer."""
    model, x = encoder(case_of(make), causal, 1), tokens()
    changed = torch.cat([tokens(1), x[:, 1:]], dim=1)
    moved = (model(changed) - model(x))[:, -1].abs().amax()
    expect(moved > 1e-6, f"a last output that another first token moves by {moved:.1e}")


def gradients_reach_every_parameter(make: MixerFactory, causal: bool) -> None:
    """Of each parameter some entry has a gradient, and all are finite."""
    parts.expect_learning(encoder(case_of(make), causal), "attention")


def starts_small_in_deep_models(make: MixerFactory, causal: bool) -> None:
    """What it adds to the residual stream is at first proportional to `depth_scale`."""
    parts.expect_small_start(case_of(make), causal, "attention")


def serves_or_refuses(make: MixerFactory, causal: bool, service: str) -> None:
    """What hides tokens, or remembers them, does so as it is said; or is refused by name.

    Args:
        make: The mixer.
        causal: Of the model.
        service: "mask", "padding", "documents" or "cache".
    """
    kind, case, x = type(make(dims(causal), 0)), case_of(make), tokens()
    if service in kind.serves:
        _SERVING[service](case, causal)
    elif service == "mask":
        expect_refusal(lambda: encoder(case, causal, mask=Window(3)), kind.__name__)
    else:
        model, positions = encoder(case, causal), torch.arange(LENGTH).unsqueeze(0)
        given: dict[str, dict[str, Any]] = {
            "padding": {"lengths": whole_models.LENGTHS},
            "documents": {"documents": whole_models.DOCUMENTS},
            "cache": {"cache": Cache(), "positions": positions},
        }
        expect_refusal(lambda: model(x, **given[service]), kind.__name__)


def remembers_places(make: MixerFactory, causal: bool, positional: str) -> None:
    """Tokens that are remembered stand where they stood, whether their keys are turned or not."""
    case = case_of(make, _PLACED[positional])
    whole_models.reading_with_a_cache_equals_reading_at_once(case, causal, whole_models.CHUNKS)


def what_a_mask_hides_is_not_seen(case: Case, causal: bool) -> None:
    """In a window of three, other tokens at the start change nothing from the seventh on."""
    model, x = encoder(case, causal, 1, mask=Window(3)), tokens()
    changed = torch.cat([tokens(4), x[:, 4:]], dim=1)
    expect_same(model(changed)[:, 6:], model(x)[:, 6:], 1e-6, "outputs of who sees two back")


def honours_or_refuses(make: MixerFactory, causal: bool, hook: str) -> None:
    """An encoding that writes one hook changes the outputs, or is refused by the hook's name.

    Args:
        make: The mixer.
        causal: Of the model.
        hook: One of `HOOKS`.
    """
    kind, probe = type(make(dims(causal), 0)), PROBES[hook]
    if hook not in kind.hooks:
        expect_refusal(lambda: encoder(case_of(make, probe), causal), kind.__name__, hook)
        return
    plain = encoder(case_of(make), causal)
    changed = encoder(case_of(make, probe), causal)
    changed.load_state_dict(plain.state_dict())
    x = tokens()
    moved = (changed(x) - plain(x)).abs().amax()
    expect(moved > 1e-3, f"outputs that {hook} moves by {moved:.1e}")


class _Transforms(PositionalEncoding):
    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        return site.q * 2, site.k.flip(-1)


class _Biases(PositionalEncoding):
    def bias(self, site: Site) -> Tensor:
        return -site.delta.abs().float().unsqueeze(1)


class _Rescores(PositionalEncoding):
    def rescore(self, site: Site) -> Rescore:
        return lambda logits: logits * 3


class _ChangesValues(PositionalEncoding):
    def values(self, site: Site) -> Tensor:
        return site.v * 2


class _ChangesOutput(PositionalEncoding):
    def output(self, site: Site, mixed: Tensor) -> Tensor:
        return mixed * 2


PROBES: dict[str, type[PositionalEncoding]] = {
    "transform": _Transforms,
    "bias": _Biases,
    "rescore": _Rescores,
    "values": _ChangesValues,
    "output": _ChangesOutput,
}
"""An encoding for each hook that writes this one alone."""

_PLACED: dict[str, type[PositionalEncoding]] = {"RoPE": RoPE, "ALiBi": ALiBi}

_VISIBLE = "let a token read only what `context.seen_in(self.layer)` shows it"
_SAYS = Promise(
    "`hooks` and `serves` say what it can honour",
    f"hooks: some of {', '.join(sorted(HOOKS))}; serves: some of {', '.join(sorted(SERVICES))}",
)
_REFUSED = Promise(
    "a direction that it does not serve is refused", "leave the refusal to Mixer.check"
)
_SERVED = Promise(
    "padding, documents, masks and caches are served, or refused in one line",
    _VISIBLE + "; or take the word out of `serves`",
)
_HONOURED = Promise(
    "an encoding's hook changes what is mixed, or is refused in one line",
    "call it with `context.site(...)` and use what it gives; or take the word out of `hooks`",
)
_SERVING: dict[str, Callable[[Case, bool], None]] = {
    "mask": what_a_mask_hides_is_not_seen,
    "padding": whole_models.padded_batch_equals_each_sequence_alone,
    "documents": whole_models.packed_documents_equal_each_document_alone,
    "cache": partial(
        whole_models.reading_with_a_cache_equals_reading_at_once, steps=whole_models.CHUNKS
    ),
}
_CAUSAL: dict[Callable[..., None], Promise] = {
    whole_models.future_does_not_reach_the_past: Promise("no token sees what follows it", _VISIBLE),
}
_OF_A_MIXER: dict[Callable[..., None], Promise] = {
    tokens_reach_each_other: Promise(
        "tokens exchange what they know", "a branch that mixes nothing is a FeedForward"
    ),
    gradients_reach_every_parameter: parts.LEARNS,
    starts_small_in_deep_models: parts.STARTS_SMALL,
}
