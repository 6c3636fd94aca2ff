"""How is an input judged? The promises of every one, held against anybody's class.

Shapes: B sequences, T tokens, D = d_model, V token ids.
"""

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import is_a, maker, wrong
from lightning_posenc.data.batch import are_ids
from lightning_posenc.dims import Dims
from lightning_posenc.model.door import checked_places
from lightning_posenc.model.inputs import Inputs, InputsFactory
from lightning_posenc.positions import Places
from lightning_posenc.testing.check import (
    Check,
    Promise,
    expect,
    expect_refusal,
    expect_same,
    hold,
)
from lightning_posenc.testing.models import expect_gradients
from lightning_posenc.testing.sizes import BATCH, D_MODEL, LENGTH, N_HEADS, dims

VOCAB_SIZE = 40


class Input(NamedTuple):
    """An input that is judged, and what it takes.

    Args:
        make: Makes it of the dims and the vocab_size.
        example: (B, T) ids or (B, …), a batch of what it takes.
    """

    make: InputsFactory
    example: Tensor

    @property
    def vocab_size(self) -> int | None:
        """V, if it takes ids."""
        return VOCAB_SIZE if are_ids(self.example) else None

    def new(self, sizes: Dims | None = None) -> Inputs:
        """Another one, for a model of the tests' sizes unless others are given."""
        return self.make(dims(True) if sizes is None else sizes, self.vocab_size)


def check_input(make: InputsFactory, example: Tensor | None = None) -> None:
    """Hold an input against all that every one promises; it takes a second.

    Args:
        make: The class, if its arguments but `dims` and `vocab_size` have defaults; else
            `partial(MyInput, …)`.
        example: (B, …), several sequences of what it takes, with a variance of 1; None for token
            ids.

    Raises:
        AssertionError: Telling of every broken promise: what was promised, seen, and is to be done.
        ValueError: If it makes no input, or there is no example of two sequences.
    """
    hold(input_checks(make, example))


def input_checks(make: InputsFactory, example: Tensor | None = None) -> list[Check]:
    """Give the same one by one, for a test that is parametrised over them."""
    if example is None:
        draws = torch.Generator().manual_seed(0)
        example = torch.randint(VOCAB_SIZE, (BATCH, LENGTH), generator=draws)
    is_a("check_input", "example", example, Tensor)
    if example.dim() < 2 or len(example) < 2:
        raise wrong("check_input", "example", tuple(example.shape), "be (B, …) of two sequences")
    judged = Input(make, example)
    maker("check_input", "make", make, Inputs, dims(True), judged.vocab_size)
    subject = type(judged.new()).__name__
    promises = _OF_EVERY_ONE | (_OF_IDS if are_ids(example) else _OF_OTHERS)
    return [
        Check(subject, run.__name__, promise, partial(run, judged))
        for run, promise in promises.items()
    ]


def shape_and_dtype(judged: Input) -> None:
    """(B, T, D) of finite numbers in the dtype of the model, in bfloat16 too; of T ids T tokens."""
    example = judged.example
    for dtype in (torch.float32, torch.bfloat16):
        given = example.to(dtype) if example.is_floating_point() else example
        out = judged.new().to(dtype)(given)
        length = example.shape[1] if are_ids(example) else out.shape[1]
        shape = (len(example), length, D_MODEL)
        expect(out.shape == shape, f"tokens of shape {tuple(out.shape)}, not {shape}")
        expect(out.dtype == dtype, f"tokens in {out.dtype} of a model in {dtype}")
        expect(out.isfinite().all(), "tokens that are not finite")


def independent_of_the_rest_of_the_batch(judged: Input) -> None:
    """A sequence has the same tokens alone and among others."""
    inputs, example = judged.new().eval(), judged.example
    together = inputs(example)
    for row in range(len(example)):
        alone = inputs(example[row : row + 1])
        expect_same(together[row], alone[0], 1e-5, f"sequence {row} in a batch and alone")


def padding_changes_nothing(judged: Input) -> None:
    """Of inputs that read lengths: as many tokens as `lengths` says, those of the row alone."""
    inputs, example = judged.new().eval(), judged.example
    if not inputs.reads_lengths:
        return
    longest = example.shape[1]
    lengths = torch.tensor([max(1, longest - row) for row in range(len(example))])
    together, n_tokens = inputs(example, lengths), inputs.lengths(lengths).tolist()
    for row, (length, n) in enumerate(zip(lengths.tolist(), n_tokens, strict=True)):
        alone = inputs(example[row : row + 1, :length], None)[0]
        expect(len(alone) == n, f"{len(alone)} tokens of {length}, where `lengths` says {n}")
        expect_same(together[row, :n], alone, 1e-5, f"sequence {row} with and without padding")


def tokens_stand_where_it_says(judged: Input) -> None:
    """Each that is made has a place, within the bounds; or none has, for they only follow."""
    inputs, example = judged.new(), judged.example
    places, n_tokens = inputs.places(example), inputs(example).shape[1]
    if places is None:
        return
    expect(isinstance(places, Places), f"places that are a {type(places).__name__}")
    try:
        checked_places(places, len(example), n_tokens, owner=type(inputs).__name__)
    except ValueError as error:
        raise AssertionError(str(error)) from error
    if places.low is not None and places.high is not None:
        low, high = places.values.min().item(), places.values.max().item()
        inside = places.low <= low and high <= places.high
        expect(inside, f"places {low:g}..{high:g}, and bounds {places.low:g}..{places.high:g}")


def gradients_reach_every_parameter(judged: Input) -> None:
    """Of each parameter some entry has a gradient, and all are finite."""
    inputs = judged.new()
    parameters = dict(inputs.named_parameters())
    if parameters:
        expect_gradients(inputs(judged.example), parameters)


def state_dict_round_trip(judged: Input) -> None:
    """Another one that loads the state_dict gives the same, bit by bit."""
    inputs, other = judged.new().eval(), judged.new().eval()
    other.load_state_dict(inputs.state_dict())
    expected = inputs(judged.example)
    expect_same(other(judged.example), expected, 0, "tokens after load_state_dict")


def survives_copying(judged: Input) -> None:
    """What is saved whole, or copied, gives the same."""
    inputs = judged.new().eval()
    expected = inputs(judged.example)
    for copied in (copy.deepcopy(inputs), pickle.loads(pickle.dumps(inputs))):
        expect_same(copied(judged.example), expected, 0, "tokens of a copy")


def tokens_start_at_embed_std(judged: Input) -> None:
    """At half to twice that: encodings that are added start there too."""
    for std in (1.0, 0.1):
        out = judged.new(Dims(D_MODEL, N_HEADS, 2, True, embed_std=std))(judged.example)
        ratio = (out.std() / std).item()
        expect(0.5 < ratio < 2, f"tokens of {ratio:.2g} times embed_std={std}")


def other_ids_are_refused(judged: Input) -> None:
    """Those beyond the vocabulary, and what are none."""
    inputs, ids = judged.new(), judged.example
    for given in (ids + VOCAB_SIZE, ids - VOCAB_SIZE, ids.float()):
        expect_refusal(partial(inputs, given))


def data_without_ids_is_refused(judged: Input) -> None:
    """What needs a vocabulary says so where there is none."""
    try:
        judged.make(dims(True), None)
    except Exception:
        expect_refusal(partial(judged.make, dims(True), None))


def other_shapes_are_refused(judged: Input) -> None:
    """A batch with an axis more, and one with an axis less."""
    inputs, example = judged.new(), judged.example
    for given in (example.unsqueeze(1), example[:, 0]):
        expect_refusal(partial(inputs, given))


_OF_EVERY_ONE: dict[Callable[..., None], Promise] = {
    shape_and_dtype: Promise(
        "it gives tokens (B, T, D) in the dtype of the model",
        "of ids one token each; make no buffer or constant in another dtype than the weights'",
    ),
    independent_of_the_rest_of_the_batch: Promise(
        "a sequence does not depend on the others of its batch", "keep the first axis apart"
    ),
    padding_changes_nothing: Promise(
        "what comes of a sequence does not depend on the padding behind it",
        "put zeros where `lengths` says that it ends, before anything reads its neighbours",
    ),
    tokens_stand_where_it_says: Promise(
        "`places` has a position for each token, within its bounds",
        "return Places of (1|B, T) or (1|B, T, A), T as `forward` makes it; or None",
    ),
    gradients_reach_every_parameter: Promise(
        "training reaches every parameter", "use it, make it a buffer, or delete it"
    ),
    state_dict_round_trip: Promise(
        "a state_dict holds all that the tokens depend on",
        "register what is drawn as an nn.Parameter or a buffer",
    ),
    survives_copying: Promise(
        "it can be saved whole and copied", "keep no lambda and no open file as an attribute"
    ),
    tokens_start_at_embed_std: Promise(
        "tokens start at the standard deviation `dims.embed_std`",
        "start weights at dims.embed_std, over the root of the numbers that each token sums",
    ),
}
_REFUSED = Promise(
    "what it cannot take is refused in one line",
    "raise a ValueError: what was given and what must be",
)
_OF_IDS: dict[Callable[..., None], Promise] = {
    other_ids_are_refused: _REFUSED._replace(
        remedy="compare ids first: `lightning_posenc.model.door.checked_tokens(tokens, vocab_size)`"
    ),
    data_without_ids_is_refused: _REFUSED._replace(
        remedy="raise a ValueError in the constructor where vocab_size is None"
    ),
}
_OF_OTHERS: dict[Callable[..., None], Promise] = {other_shapes_are_refused: _REFUSED}
