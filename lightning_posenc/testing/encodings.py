"""How is an encoding judged? The promises of every one, held against anybody's class."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from lightning_posenc.positional import Factory
from lightning_posenc.testing import moved_positions, single_hooks, whole_models
from lightning_posenc.testing.case import Case, found_out
from lightning_posenc.testing.check import Check, Promise, hold
from lightning_posenc.testing.oracle import Oracle

_SITE = "read only what the Site of this layer gives: q, k, x and the positions at each token"

# What is promised in a bidirectional and in a causal model, by the function that tries it.
_BOTH_WAYS: dict[Callable[..., None], Promise] = {
    whole_models.shape_and_dtype: Promise(
        "outputs have the shape and the dtype of the inputs",
        "compute in float32, and give q, k and x back in the dtype that they came in",
    ),
    whole_models.state_dict_round_trip: Promise(
        "a state_dict holds all that the outputs depend on",
        "register whatever is drawn at random as an nn.Parameter or by register_buffer",
    ),
    whole_models.bfloat16_autocast_is_near_float32: Promise(
        "under bfloat16 autocast outputs stay near those in float32",
        "compute angles and distances in float32: `positions.float()`, and cast the result last",
    ),
    single_hooks.bfloat16_model_keeps_positions_apart: Promise(
        "a model in bfloat16 still tells neighbouring positions apart",
        "make frequencies when they are used, in float32, not in a buffer that `.to` would round",
    ),
    whole_models.padded_batch_equals_each_sequence_alone: Promise(
        "padding changes nothing for the tokens before it", _SITE
    ),
    whole_models.packed_documents_equal_each_document_alone: Promise(
        "packed documents do not see each other",
        _SITE + "; what runs along the sequence (a sum, a convolution) must stop at documents",
    ),
    whole_models.independent_of_the_rest_of_the_batch: Promise(
        "a sequence does not depend on the others of its batch",
        "keep the first axis apart: no mean over sequences, no sequence's positions for all",
    ),
    whole_models.checkpointed_activations_change_nothing: Promise(
        "blocks may be computed twice",
        "change no state and draw no random numbers in the hooks",
    ),
    whole_models.grouped_heads_equal_repeated_heads: Promise(
        "keys may be shared by query heads",
        "read the number of heads from site.k, which may have fewer than site.q; where query "
        "heads are treated apart, repeat the keys",
    ),
    moved_positions.gradient_of_positions: Promise(
        "positions off the lattice are served, or refused by `check` in one line",
        "compute from float positions as they are, or raise a ValueError in `check`",
    ),
}
_CAUSAL: dict[Callable[..., None], Promise] = {
    whole_models.future_does_not_reach_the_past: Promise(
        "in a causal model no token sees what follows it",
        _SITE + "; what runs along the sequence must run from the past",
    ),
    whole_models.pickle_and_deepcopy: Promise(
        "a model can be saved whole and copied",
        "keep no lambda, generator, open file or shared tensor as an attribute",
    ),
    whole_models.longer_works_or_names_the_limit: Promise(
        "any length works, or a ValueError names the largest that does",
        "refuse longer positions in `check(positions)`: what was given, the limit and a remedy",
    ),
    whole_models.compiled_equals_eager: Promise(
        "torch.compile gives the same outputs and gradients",
        "let no Python branch depend on a tensor's values; cached_property breaks graphs",
    ),
}
_SEEN = Promise(
    "the fused kernel gives what the plain formula gives",
    "a bias is (B|1, H|1, T, S) and finite: kernels mask, encodings do not",
)
_CACHE = Promise(
    "what is read token by token is read as at once",
    "make a query's result depend on its own position and on the keys before it alone, or say "
    "in `depends_on_length` why it cannot be",
)
_ORACLE = Promise(
    "hooks compute what the oracle says",
    "compare one entry by hand with the paper: one of the two is wrong",
)
_REACH = Promise(
    "an entry has a gradient just where the oracle uses it",
    "look for a row that is never gathered, a detach, or an oracle that leaves a parameter out",
)
# What is claimed, and in a causal model or not is tried.
_CLAIMS: list[tuple[str, tuple[bool, ...], Callable[..., None], Promise]] = [
    (
        "shift_invariant", (False, True), moved_positions.shift_of_all_positions,
        Promise("it is shift-invariant as claimed", "claim the other, or use site.delta alone"),
    ),
    (
        "content_dependent", (True,), single_hooks.content_dependence,
        Promise("it reads the tokens as claimed", "claim the other"),
    ),
    (
        "order_aware_bidirectional", (False,),
        moved_positions.order_awareness_of_a_bidirectional_model,
        Promise("it tells a sequence from its reverse as claimed", "claim the other"),
    ),
]  # fmt: skip
_TRAINED = Promise(
    "training reaches every parameter",
    "use it in every layer and head that it has rows for, make it a buffer, or delete it",
)
_REFUSAL = Promise(
    "a bidirectional model is refused in one line that says why",
    "raise the ValueError in the constructor: what, where, what to do",
)


def check_encoding(make: Factory, oracle: Oracle | None = None, **claims: Any) -> None:
    """Hold an encoding against all that every encoding promises; it takes seconds.

    Args:
        make: The class, if its arguments but `dims` have defaults; else `partial(MyBias, …)`.
        oracle: Its equation in float64, `(given) -> Result`: then the hooks are held against it.
        claims: What is said of it: fields of `Case`, such as `shift_invariant=True`. What its
            positions look like, its limit and whether it refuses a bidirectional model is found
            out; of the rest, what is not claimed is not tried.

    Raises:
        AssertionError: Telling of every broken promise: what was promised, seen, and is to be done.
        ValueError: If it makes no encoding that can be judged.
    """
    hold(encoding_checks(make, oracle, **claims))


def encoding_checks(make: Factory, oracle: Oracle | None = None, **claims: Any) -> list[Check]:
    """Give the same one by one, for a test that is parametrised over them."""
    case = found_out(make, oracle, **claims)
    return [*model_checks(case), *oracle_checks(case)]


def model_checks(case: Case) -> Iterator[Check]:
    """What every encoding keeps in a model, and what is claimed of this one."""
    for causal, promises in ((False, _BOTH_WAYS), (True, _BOTH_WAYS | _CAUSAL)):
        if case.refused and not causal:
            yield _check(case, causal, moved_positions.refusal_of_a_bidirectional_model, _REFUSAL)
            continue
        for run, promise in promises.items():
            yield _check(case, causal, run, promise)
        if case.oracle is None:  # which knows better where gradients are to be
            yield _check(case, causal, whole_models.gradients_reach_every_parameter, _TRAINED)
        for seen in ("all", "padded", "packed", "window"):
            yield _check(case, causal, whole_models.sdpa_equals_eager, _SEEN, seen=seen)
        for claim, ways, run, promise in _CLAIMS:
            if getattr(case, claim) is not None and causal in ways:
                yield _check(case, causal, run, promise)
    for steps in (whole_models.CHUNKS, whole_models.ONE_BY_ONE):
        run = whole_models.reading_with_a_cache_equals_reading_at_once
        yield _check(case, True, run, _CACHE, steps=steps)


def oracle_checks(case: Case) -> Iterator[Check]:
    """What the hooks give beside the oracle; nothing without one."""
    if case.oracle is None:
        return
    for causal in (False, True):
        if causal or not case.refused:
            run = single_hooks.gradients_reach_what_the_oracle_depends_on
            yield _check(case, causal, run, _REACH)
            for layout in single_hooks.LAYOUTS:
                yield _check(case, causal, single_hooks.hooks_equal_oracle, _ORACLE, layout=layout)


def _check(
    case: Case, causal: bool, run: Callable[..., None], promise: Promise, **more: Any
) -> Check:
    options = [_named(value) for value in more.values()]
    way = "causal" if causal else "bidirectional"
    name = "-".join([run.__name__, *options, way])
    return Check(case.name, name, promise, partial(run, case, causal, **more))


def _named(value: Any) -> str:
    if isinstance(value, tuple):
        return "one" if set(value) == {1} else "chunks"
    return getattr(value, "__name__", str(value))
