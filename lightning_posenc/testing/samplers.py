"""How is a sampler of positions judged? The promises of every one, held against anybody's class.

Shapes: B sequences, T tokens, A axes.
"""

import copy
import pickle
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lightning_posenc.checks import made, wrong
from lightning_posenc.model.door import checked_places
from lightning_posenc.positions import Places, Positions, Sequences
from lightning_posenc.testing.check import Check, Promise, expect, expect_refusal, hold
from lightning_posenc.testing.sizes import AFFORDABLE, BATCH, LENGTH

N_TOKENS = 12  # ids: ten digits, "+" and "="
LONGEST = 64  # that is looked through for lengths which a sampler serves
CPU, META = torch.device("cpu"), torch.device("meta")


def check_sampler(
    make: Positions | Callable[[], Positions], *, random_in_evaluation: bool = False
) -> None:
    """Hold a sampler of positions against all that every one promises; it takes a second.

    Args:
        make: The class, if its arguments have defaults; else a sampler.
        random_in_evaluation: It draws in evaluation too, as `Randomized` does: then what it gives
            there is not held to be the same for the same sequence.

    Raises:
        AssertionError: Telling of every broken promise: what was promised, seen, and is to be done.
        ValueError: If it is no sampler, or serves no length that the judge can afford.
    """
    hold(sampler_checks(make, random_in_evaluation=random_in_evaluation))


def sampler_checks(
    make: Positions | Callable[[], Positions], *, random_in_evaluation: bool = False
) -> list[Check]:
    """Give the same one by one, for a test that is parametrised over them."""
    sampler = make
    if not isinstance(sampler, Positions):
        sampler = made("check_sampler", "make", make, Positions)
    subject = type(sampler).__name__
    probe = copy.deepcopy(sampler)
    lengths = [n for n in range(1, LONGEST + 1) if _serves(probe, n)]
    if not lengths or lengths[-1] < LENGTH:
        allowed = f"serve some length from {LENGTH} to {LONGEST}: give one that does"
        try:
            sampler(told(LENGTH))
        except ValueError as error:
            raise wrong("check_sampler", "make", make, allowed) from error
        raise wrong("check_sampler", "make", make, allowed)
    promises = _OF_EVERY_ONE | ({} if random_in_evaluation else _WITHOUT_CHANCE)
    if random_in_evaluation:
        promises[draws_in_evaluation] = _CLAIMED
    return [
        Check(subject, run.__name__, promise, partial(run, sampler, lengths))
        for run, promise in promises.items()
    ]


def told(
    length: int, device: torch.device = CPU, *, seed: int = 0, packed: bool = True
) -> Sequences:
    """What a sampler is told of B sequences of T tokens: their ids, and documents if packed."""
    draws = torch.Generator().manual_seed(seed)
    tokens = torch.randint(N_TOKENS, (BATCH, length), generator=draws).to(device)
    documents = torch.zeros(BATCH, length, dtype=torch.int64)
    documents[0, length // 2 :] = 1
    documents[1] = 7
    documents[2, length // 3 :] = 1
    return Sequences(BATCH, length, device, documents.to(device) if packed else None, tokens=tokens)


def rows(sequences: Sequences, row: int, length: int) -> Sequences:
    """One of the sequences alone, of so many tokens and without padding."""
    some = slice(row, row + 1), slice(length)
    documents, tokens = (
        None if each is None else each[some] for each in (sequences.documents, sequences.tokens)
    )
    return Sequences(1, length, sequences.device, documents, tokens=tokens)


def _base(lengths: list[int]) -> int:
    """T: a length of some tokens, but few."""
    return next(n for n in lengths if n >= LENGTH)


def _serves(sampler: Positions, length: int) -> bool:
    try:
        for training in (False, True):
            sampler.train(training)(told(length))
    except Exception:  # whatever it is, the checks tell
        return False
    return True


def the_encoder_takes_them(sampler: Positions, lengths: list[int]) -> None:
    """(1|B, T) or (1|B, T, A), of a dtype that keeps them apart, finite; documents or none."""
    for training in (False, True):
        for length in (lengths[0], _base(lengths)):
            for packed in (False, True):
                at_hand = told(length, packed=packed)
                places = sampler.train(training).places(at_hand)
                try:
                    checked_places(places, BATCH, length, owner=type(sampler).__name__)
                except ValueError as error:
                    raise AssertionError(str(error)) from error


def none_lies_beyond_its_bounds(sampler: Positions, lengths: list[int]) -> None:
    """Of several draws; stretched distances are as many as occur, and rise from 0."""
    for training in (False, True):
        for seed in range(10):
            torch.default_generator.manual_seed(seed)
            places = sampler.train(training).places(told(_base(lengths), seed=seed))
            values, stretch = places.values, places.stretch
            if places.low is not None and places.high is not None:
                low, high = values.min().item(), values.max().item()
                expect(
                    places.low <= low and high <= places.high,
                    f"positions {low:g}..{high:g}, and bounds {places.low:g}..{places.high:g}",
                )
            if stretch is not None:
                expect_stretched(stretch, places)


def expect_stretched(stretch: Tensor, places: Places) -> None:
    """What distances count as is said of all that occur, in order.

    Raises:
        AssertionError: Saying what is not.
    """
    expect(stretch.dim() == 1, f"stretched distances of shape {tuple(stretch.shape)}")
    farthest = int((places.values.amax(1) - places.values.amin(1)).max())
    expect(len(stretch) > farthest, f"{len(stretch)} distances, and tokens {farthest} apart")
    rises = bool((stretch.diff() > 0).all())
    expect(stretch[0] == 0 and rises, f"distances that count as {stretch.tolist()}")


def a_seed_means_the_same_on_every_device(sampler: Positions, lengths: list[int]) -> None:
    """The same positions again, from as many random numbers; and on the device that is asked for.

    The meta device computes nothing: what it is asked to mix with the CPU's, or to tell the value
    of, fails.
    """
    length = _base(lengths)
    for training in (False, True):
        sampler.train(training)
        drawn, states = [], []
        for device in (CPU, CPU, META):
            torch.default_generator.manual_seed(3)
            try:
                drawn.append(copy.deepcopy(sampler)(told(length, device)))
            except (RuntimeError, NotImplementedError) as error:
                if device == CPU:
                    raise
                raise AssertionError(f"on another device than the CPU: {error}") from error
            states.append(torch.get_rng_state())
        expect(torch.equal(drawn[0], drawn[1]), "other positions from the same seed")
        where = drawn[2].device
        expect(where == META, f"positions on {where}, of sequences on another device")
        expect(
            torch.equal(states[0], states[2]),
            "random numbers that are drawn on the device of the sequences",
        )


def reads_tokens_as_it_says(sampler: Positions, lengths: list[int]) -> None:
    """Without `reads_tokens` the ids change nothing; with it, there must be some."""
    length = _base(lengths)
    sampler.eval()
    without = told(length)._replace(tokens=None)
    if sampler.reads_tokens:
        expect_refusal(lambda: sampler(without), "reads the tokens")
        return
    found = []
    for at_hand in (told(length, seed=1), told(length, seed=2), without):
        torch.default_generator.manual_seed(3)
        try:
            found.append(sampler(at_hand))
        except (AttributeError, TypeError) as error:
            raise AssertionError(f"without tokens: {error}") from error
    same = all(torch.equal(found[0], other) for other in found[1:])
    expect(same, "positions that the ids of the tokens change, and reads_tokens=False")


def survives_copying(sampler: Positions, lengths: list[int]) -> None:
    """As it goes with its model: a copy draws the same."""
    at_hand = told(_base(lengths))
    for training in (False, True):
        sampler.train(training)
        found = []
        for each in (sampler, copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
            torch.default_generator.manual_seed(3)
            found.append(each(at_hand))
        expect(all(torch.equal(found[0], other) for other in found[1:]), "a copy that differs")


def any_length_is_served_or_refused(sampler: Positions, lengths: list[int]) -> None:
    """In one line."""
    for training in (False, True):
        for length in (1, 2, LENGTH + 1, LONGEST, AFFORDABLE + 2):
            asked = partial(sampler.train(training), told(length))
            try:
                places = asked()
            except Exception:
                expect_refusal(asked)
            else:
                expect(places.shape[1] == length, f"{places.shape[1]} positions of {length} tokens")


def padding_moves_no_token(sampler: Positions, lengths: list[int]) -> None:
    """Each row stands as it would alone; or padding is refused in one line."""
    length = _base(lengths)
    shorter = [n for n in lengths if n < length] or [length]
    real = torch.tensor([length, shorter[-1], shorter[0]])
    padded = partial(sampler.eval(), told(length, packed=False)._replace(lengths=real))
    try:
        together = padded()
    except ValueError:
        expect_refusal(padded)
        return
    for row, n in enumerate(real.tolist()):
        alone = sampler(rows(told(length, packed=False), row, n))
        _expect_same_row(together, row, alone, f"the {n} tokens before padding")


def a_row_stands_as_it_would_alone(sampler: Positions, lengths: list[int]) -> None:
    """Whatever else is in its batch."""
    at_hand = told(_base(lengths))
    together = sampler.eval()(at_hand)
    for row in range(BATCH):
        alone = sampler(rows(at_hand, row, at_hand.length))
        _expect_same_row(together, row, alone, f"sequence {row} of {BATCH}")


def _expect_same_row(together: Tensor, row: int, alone: Tensor, what: str) -> None:
    n = alone.shape[1]
    found, wanted = together[row % len(together), :n], alone[0]
    if found.dim() == 2 and together.shape[1] == together.shape[2]:  # distances between tokens
        found = found[:, :n]
    same = found.shape == wanted.shape and torch.allclose(found.double(), wanted.double())
    expect(same, f"{what} at {found.tolist()}, and alone at {wanted.tolist()}")


def draws_in_training_alone(sampler: Positions, lengths: list[int]) -> None:
    """In evaluation the same again, and torch's random numbers go on as if nothing had been."""
    at_hand, state = told(_base(lengths)), torch.get_rng_state()
    first, second = (sampler.eval()(at_hand) for _ in range(2))
    expect(torch.equal(first, second), "other positions at every call in evaluation")
    expect(torch.equal(torch.get_rng_state(), state), "random numbers that are drawn in evaluation")


def draws_in_evaluation(sampler: Positions, lengths: list[int]) -> None:
    """As it is claimed to."""
    at_hand = told(_base(lengths))
    first, *others = (sampler.eval()(at_hand) for _ in range(5))
    changes = any(not torch.equal(first, other) for other in others)
    expect(changes, "the same positions five times")


_OF_EVERY_ONE: dict[Callable[..., None], Promise] = {
    the_encoder_takes_them: Promise(
        "every token has a position, or one on each axis",
        "return (1|B, T) or (1|B, T, A) of int64 or float32; `documents` and `lengths` may be None",
    ),
    none_lies_beyond_its_bounds: Promise(
        "no position lies beyond what `bounds(length)` says",
        "count what is drawn in training too; or leave `bounds` out, which says nothing",
    ),
    a_seed_means_the_same_on_every_device: Promise(
        "a seed means the same on every device, and no GPU is waited for",
        "draw by torch's global generator with device='cpu', then "
        "`lightning_posenc.draws.sent(drawn, sequences.device)`; read no values off a tensor",
    ),
    reads_tokens_as_it_says: Promise(
        "`reads_tokens` says whether the ids of tokens change positions",
        "say reads_tokens = True, and raise a ValueError, 'Mine reads the tokens: …', without them",
    ),
    survives_copying: Promise(
        "it can be copied and saved with its model",
        "keep no lambda and no open file as an attribute",
    ),
    any_length_is_served_or_refused: Promise(
        "any length is served, or refused in one line",
        "raise a ValueError: what was given, the limit and a remedy",
    ),
}
_WITHOUT_CHANCE: dict[Callable[..., None], Promise] = {
    draws_in_training_alone: Promise(
        "it draws in training alone",
        "draw only `if self.training`; or claim random_in_evaluation=True",
    ),
    padding_moves_no_token: Promise(
        "how much padding follows a sequence moves none of its tokens",
        "count by `sequences.lengths` and `sequences.real`, not by `sequences.length`",
    ),
    a_row_stands_as_it_would_alone: Promise(
        "a sequence's positions do not depend on the others of its batch",
        "keep the first axis apart; what is drawn for a row is drawn in training alone",
    ),
}
_CLAIMED = Promise("it draws in evaluation as claimed", "leave random_in_evaluation out")
