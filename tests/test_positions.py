"""Samplers of positions, beside plain loops.

Samplers that read tokens run here in an encoder under LearnedAbsolute: the conformance suite
feeds its models with vectors that come from no token.
"""

import copy
import math
import pickle
from itertools import groupby, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from lightning_posenc import Dims, Encoder
from lightning_posenc.positional import LearnedAbsolute, RoPE, Sinusoidal
from lightning_posenc.positions import (
    Abacus,
    Consecutive,
    Grid,
    Interpolated,
    Jittered,
    PerDocument,
    PositionCoupling,
    Positions,
    Randomized,
    Shifted,
)
from tests.helpers import site_of

CPU = torch.device("cpu")
DOCUMENTS = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2], [5, 5, 5, 5, 5, 5, 5, 5]])
RESTARTED = [[0, 1, 2, 0, 1, 2, 3, 0], [0, 1, 2, 3, 4, 5, 6, 7]]
DIGITS = "0123456789"
SYMBOLS = DIGITS + "+= "


def ids(*texts: str) -> Tensor:
    """Tokens (B, T): a digit is its own id, '+' is 10, '=' 11, a blank 12."""
    return torch.tensor([[SYMBOLS.index(symbol) for symbol in text] for text in texts])


def test_consecutive_counts_from_zero() -> None:
    assert Consecutive()(3, 5, CPU).tolist() == [[0, 1, 2, 3, 4]]


@given(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), min_size=1, max_size=3))
def test_per_document_restarts_at_every_boundary(sizes: list[list[int]]) -> None:
    length = max(map(sum, sizes))
    rows, expected = [], []
    for row in sizes:
        row = [*row, *[1] * (length - sum(row))]
        rows.append([7 - document for document, size in enumerate(row) for _ in range(size)])
        expected.append([place for size in row for place in range(size)])
    documents = torch.tensor(rows)
    assert PerDocument()(len(rows), length, CPU, documents).tolist() == expected


def test_per_document_without_documents_is_consecutive() -> None:
    assert torch.equal(PerDocument()(2, 6, CPU), Consecutive()(2, 6, CPU))


@pytest.mark.parametrize(
    "positions",
    [
        Consecutive(),
        PerDocument(),
        Randomized(64),
        Shifted(),
        Interpolated(6),
        Grid((2, 3)),
        Abacus(),
        PositionCoupling(),
    ],
)
def test_positions_are_whole_numbers(positions: Positions) -> None:
    documents = torch.zeros(2, 6, dtype=torch.long)
    assert positions(2, 6, CPU, documents, ids("1+2=3 ", "1+1=2 ")).dtype == torch.int64


STOCHASTIC = [
    Shifted(1000),
    Shifted(1000, per_sequence=False),
    Jittered(),
    Abacus(max_offset=1000),
    Abacus(max_offset=1000, per_sequence=True),
    PositionCoupling(max_position=1000),
]


@pytest.mark.parametrize("positions", STOCHASTIC, ids=lambda sampler: type(sampler).__name__)
def test_random_in_training_alone_and_there_by_the_global_seed(positions: Positions) -> None:
    tokens = ids("653+49=207", "1+23=42   ")
    draw = lambda: positions(2, 10, CPU, tokens=tokens)  # noqa: E731
    positions.train()
    torch.manual_seed(3)
    first, second = draw(), draw()
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(draw(), first)
    positions.eval()
    state = torch.get_rng_state()
    assert torch.equal(draw(), draw())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "positions",
    [*STOCHASTIC, Interpolated(4), Grid((2, 5))],
    ids=lambda sampler: type(sampler).__name__,
)
def test_positions_live_on_the_device_that_is_asked_for(positions: Positions) -> None:
    """The meta device computes nothing: what it is asked to mix with the CPU's fails."""
    meta = torch.device("meta")
    if isinstance(positions, PositionCoupling):
        positions = copy.deepcopy(positions)
        positions._check_room = lambda n_starts: None  # type: ignore[method-assign]
    tokens = torch.empty(2, 10, dtype=torch.long, device=meta)
    assert positions.train()(2, 10, meta, tokens=tokens).device.type == "meta"


@given(st.integers(1, 40), st.integers(0, 2**31))
def test_randomized_up_to_the_length_is_consecutive(length: int, seed: int) -> None:
    drawn = Randomized(max_position=length, seed=seed)(3, length, CPU)
    assert torch.equal(drawn, Consecutive()(3, length, CPU))


@given(st.integers(1, 20), st.integers(0, 40), st.booleans(), st.integers(0, 2**31))
def test_randomized_is_sorted_distinct_and_in_range(
    length: int, spare: int, per_sequence: bool, seed: int
) -> None:
    drawn = Randomized(length + spare, per_sequence, seed)(3, length, CPU)
    assert drawn.shape == (3 if per_sequence else 1, length)
    assert (drawn.diff(dim=1) > 0).all()
    assert drawn.amin() >= 0
    assert drawn.amax() < length + spare


def test_randomized_is_uniform_over_subsets() -> None:
    drawn = Randomized(max_position=5, per_sequence=True, seed=0)(10_000, 2, CPU)
    counts = torch.bincount(drawn[:, 0] * 5 + drawn[:, 1], minlength=25)
    expected = torch.zeros(5, 5)
    expected[tuple(torch.triu_indices(5, 5, offset=1))] = 1000.0
    # Ten pairs of a thousand each: a standard deviation is 30.
    assert (counts - expected.flatten()).abs().amax() < 150


def test_randomized_draws_one_row_for_the_batch_or_one_each() -> None:
    assert Randomized(64, seed=0)(4, 8, CPU).shape == (1, 8)
    assert Randomized(64, per_sequence=True, seed=0)(4, 8, CPU).unique(dim=0).shape == (4, 8)


def test_randomized_with_a_seed_is_a_stream_of_its_own() -> None:
    one, two, other = Randomized(512, seed=1), Randomized(512, seed=1), Randomized(512, seed=2)
    first = one(1, 8, CPU)
    torch.rand(1)
    assert torch.equal(first, two(1, 8, CPU))
    assert not torch.equal(first, other(1, 8, CPU))
    assert not torch.equal(first, one(1, 8, CPU))


def test_randomized_without_a_seed_follows_the_global_one() -> None:
    positions = Randomized(512)
    torch.manual_seed(3)
    first = positions(1, 8, CPU)
    assert not torch.equal(positions(1, 8, CPU), first)
    torch.manual_seed(3)
    assert torch.equal(positions(1, 8, CPU), first)


def test_randomized_stream_survives_copies() -> None:
    positions = Randomized(512, seed=1)
    positions(1, 8, CPU)
    copies = [copy.deepcopy(positions), pickle.loads(pickle.dumps(positions))]
    following = positions(1, 8, CPU)
    for copied in copies:
        assert torch.equal(copied(1, 8, CPU), following)


def test_errors_name_the_limit() -> None:
    with pytest.raises(ValueError, match="max_position=8"):
        Randomized(8)(1, 9, CPU)
    with pytest.raises(ValueError, match="must be positive, got 0"):
        Randomized(0)


def test_shifted_adds_one_number_to_each_sequence() -> None:
    positions = Shifted(max_shift=3)
    shifts = []
    for _ in range(50):
        drawn = positions(4, 6, CPU)
        assert torch.equal(drawn - drawn[:, :1], torch.arange(6).expand(4, -1))
        shifts += drawn[:, 0].tolist()
    assert set(shifts) == {0, 1, 2, 3}
    assert all(shifts.count(shift) > 25 for shift in range(4))  # fifty of each are expected
    assert torch.equal(positions.eval()(4, 6, CPU), torch.arange(6).unsqueeze(0))


def test_shifted_once_for_the_batch_or_once_a_sequence() -> None:
    assert Shifted(10_000, per_sequence=False)(4, 6, CPU).shape == (1, 6)
    assert Shifted(10_000)(4, 6, CPU)[:, 0].unique().numel() == 4


def test_shifted_moves_each_axis_by_itself() -> None:
    grid = Grid((2, 4))
    drawn = Shifted(10_000, of=grid)(3, 8, CPU)
    shifts = drawn - grid(3, 8, CPU)
    assert drawn.shape == (3, 8, 2)
    assert (shifts == shifts[:, :1]).all()
    assert shifts[:, 0].unique().numel() == 6


@pytest.mark.parametrize("make", [Shifted, Jittered, lambda of: Interpolated(8, of=of)])
def test_composes_with_restarts_at_documents(make: type[Shifted]) -> None:
    positions = make(of=PerDocument()).eval()
    assert positions(2, 8, CPU, DOCUMENTS).tolist() == RESTARTED
    drawn = positions.train()(2, 8, CPU, DOCUMENTS).float()
    same = torch.tensor(RESTARTED).unsqueeze(2) < torch.tensor(RESTARTED).unsqueeze(1)
    same &= DOCUMENTS.unsqueeze(2) == DOCUMENTS.unsqueeze(1)
    assert (drawn.unsqueeze(2) < drawn.unsqueeze(1))[same].all()  # still rising in each document


def test_jittered_stays_within_its_bounds_and_reaches_them() -> None:
    """(p + shift + jitter) * scale, undone pair by pair of tokens without jitter."""
    shift, jitter, scaling = 4.0, 0.5, 1.5
    scales, shifts = [], []
    for _ in range(300):
        first, last = Jittered(shift, 0.0, scaling)(1, 11, CPU)[0, [0, -1]].tolist()
        scales.append((last - first) / 10)
        shifts.append(first / scales[-1])
    assert 1 / scaling - 1e-5 <= min(scales) < 0.7
    assert 1.4 < max(scales) <= scaling + 1e-5
    assert -shift - 1e-4 <= min(shifts) < -3.8
    assert 3.8 < max(shifts) <= shift + 1e-4
    assert 120 < sum(scale < 1 for scale in scales) < 180  # uniform in the logarithm
    jitters = Jittered(0.0, jitter, 1.0)(300, 11, CPU) - torch.arange(11)
    assert 0.49 < jitters.amax() <= jitter
    assert -jitter <= jitters.amin() < -0.49
    assert jitters.mean().abs() < 0.03
    assert jitters.unique().numel() > 3000


def test_jittered_by_up_to_half_a_token_keeps_the_order() -> None:
    assert (Jittered()(200, 50, CPU).diff(dim=1) > 0).all()


def test_jittered_equals_the_loop_of_the_paper() -> None:
    """With the numbers that the sampler draws, in its order."""
    positions = Jittered(3.0, 0.4, 1.2, mean_normalize=True)
    torch.manual_seed(5)
    drawn = positions(2, 7, CPU).tolist()
    torch.manual_seed(5)
    shifts, jitters, scales = (
        (2 * torch.rand(shape) - 1).tolist() for shape in ((2, 1), (2, 7), (2, 1))
    )
    for b, t in product(range(2), range(7)):
        centred = t - sum(range(7)) / 7
        moved = centred + 3.0 * shifts[b][0] + 0.4 * jitters[b][t]
        expected = moved * math.exp(scales[b][0] * math.log(1.2))
        assert drawn[b][t] == pytest.approx(expected, abs=1e-5)


def test_jittered_outside_of_training_is_as_it_was_drawn() -> None:
    assert Jittered().eval()(3, 5, CPU).tolist() == [[0, 1, 2, 3, 4]]
    assert Jittered(mean_normalize=True).eval()(3, 5, CPU).tolist() == [[-2, -1, 0, 1, 2]]


def test_jittered_on_axes_scales_them_alike() -> None:
    drawn = Jittered(100.0, 0.0, 2.0, of=Grid((3, 4)))(2, 12, CPU).unflatten(1, (3, 4))
    down = drawn[:, 1:, :, 0] - drawn[:, :-1, :, 0]
    right = drawn[:, :, 1:, 1] - drawn[:, :, :-1, 1]
    for b in range(2):
        torch.testing.assert_close(down[b].unique()[0], right[b].unique()[0], rtol=0, atol=1e-4)
    assert (drawn[:, 0, 0, 0] - drawn[:, 0, 0, 1]).abs().amin() > 1e-2


@given(st.integers(1, 40), st.integers(1, 40))
def test_interpolated_never_leaves_the_trained_range(length: int, trained: int) -> None:
    drawn = Interpolated(trained)(3, length, CPU)
    assert drawn.is_floating_point() == (length > trained)
    expected = [t * trained / length if length > trained else t for t in range(length)]
    torch.testing.assert_close(drawn[0].double(), torch.tensor(expected).double())
    assert drawn.amax() <= max(trained - 1, trained * (length - 1) / length)
    assert (drawn.diff(dim=1) > 0).all()


def test_interpolated_rope_equals_linear_scaling_of_transformers() -> None:
    rope = {"rope_type": "linear", "factor": 2.5, "rope_theta": 10000.0}
    config = LlamaConfig(hidden_size=32, num_attention_heads=4, rope_parameters=rope)
    inv_freq, _ = ROPE_INIT_FUNCTIONS["linear"](config, CPU)
    positions = Interpolated(8)(1, 20, CPU)
    angles = torch.arange(20).unsqueeze(1) * inv_freq
    q = torch.randn(1, 4, 20, 8)
    encoding = RoPE(Dims(32, 4, 1))
    x = torch.empty(1, 20, 32)
    ours, _ = encoding.transform(site_of(encoding, 0, x, q, q, positions, positions))
    a, b = q.chunk(2, dim=-1)
    theirs = torch.cat(
        (a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()), -1
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_interpolated_scales_what_another_sampler_drew() -> None:
    inner = Randomized(64, seed=1)
    expected = copy.deepcopy(inner)(2, 10, CPU) * (4 / 10)
    torch.testing.assert_close(Interpolated(4, of=inner)(2, 10, CPU), expected)


@pytest.mark.parametrize("shape", [(3, 4), (-1, 4), (3, -1), (2, 3, 2), (2, -1, 2), (1, 12)])
def test_grid_counts_row_by_row(shape: tuple[int, ...]) -> None:
    known = math.prod(size for size in shape if size != -1)
    full = [12 // known if size == -1 else size for size in shape]
    expected = list(product(*map(range, full)))
    drawn = Grid(shape)(5, 12, CPU)
    assert drawn.shape == (1, 12, len(shape))
    assert [tuple(place) for place in drawn[0].tolist()] == expected


def numbers(text: str) -> list[list[int]]:
    """The places of the digits of every number, number by number."""
    return [
        [place for place, _ in run]
        for is_digit, run in groupby(enumerate(text), lambda pair: pair[1] in DIGITS)
        if is_digit
    ]


@given(st.lists(st.text(SYMBOLS, min_size=9, max_size=9), min_size=1, max_size=4))
def test_abacus_counts_the_digits_of_each_number(texts: list[str]) -> None:
    expected = torch.zeros(len(texts), 9, dtype=torch.long)
    for row, text in enumerate(texts):
        for number in numbers(text):
            for count, place in enumerate(number, start=1):
                expected[row, place] = count
    positions = Abacus()
    tokens = ids(*texts)
    assert torch.equal(positions.eval()(len(texts), 9, CPU, tokens=tokens), expected)
    drawn = positions.train()(len(texts), 9, CPU, tokens=tokens)
    offsets = (drawn - expected)[expected > 0]
    assert not drawn[expected == 0].any()
    assert offsets.unique().numel() <= 1
    assert all(0 <= offset <= 99 for offset in offsets.tolist())


def test_abacus_draws_every_offset_once_for_the_batch_or_once_a_sequence() -> None:
    tokens = ids("12", "34", "56")
    once, each = Abacus(max_offset=2), Abacus(max_offset=2, per_sequence=True)
    drawn = torch.stack([once(3, 2, CPU, tokens=tokens)[:, 0] for _ in range(60)])
    assert (drawn == drawn[:, :1]).all()
    assert set(drawn.flatten().tolist()) == {1, 2, 3}
    drawn = torch.stack([each(3, 2, CPU, tokens=tokens)[:, 0] for _ in range(60)])
    assert (drawn != drawn[:, :1]).any()


def test_abacus_takes_other_tokens_for_digits() -> None:
    tokens = torch.tensor([[48, 3, 50, 51, 52, 48]])
    drawn = Abacus(digits=(48, 50, 51)).eval()(1, 6, CPU, tokens=tokens)
    assert drawn.tolist() == [[1, 0, 1, 2, 0, 1]]


@pytest.mark.parametrize("positions", [Abacus(), PositionCoupling()])
def test_a_number_ends_with_its_document(positions: Positions) -> None:
    tokens = ids("12=34567")
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 2, 2]])
    drawn = positions.eval()(1, 8, CPU, documents, tokens)[0]
    for document in documents.unique():
        own = documents[0] == document
        alone = positions(1, 8, CPU, tokens=tokens[:, own])[0]
        assert torch.equal(drawn[own], alone)


def coupled(text: str, reversed_operands: bool, reversed_result: bool, start: int) -> list[int]:
    """Cho et al. 2024, as their data set of additions has it: number by number."""
    result = [start if symbol in "+=" else 0 for symbol in text]
    for number in numbers(text):
        opens = number[0] > 0 and text[number[0] - 1] == "="
        least_first = reversed_result if opens else reversed_operands
        for significance, place in enumerate(number if least_first else number[::-1]):
            result[place] = start + 1 + significance
        if opens and not reversed_result:
            result[number[0] - 1] = start + len(number) + 1
    return result


@pytest.mark.parametrize("reversed_operands", [False, True])
@pytest.mark.parametrize("reversed_result", [False, True])
@given(
    st.lists(
        st.one_of(
            st.text(SYMBOLS, min_size=9, max_size=9),
            st.tuples(*[st.integers(10, 99)] * 3).map(lambda abc: "{}+{}={} ".format(*abc)),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_coupling_gives_digits_of_like_significance_one_position(
    reversed_operands: bool, reversed_result: bool, texts: list[str]
) -> None:
    positions = PositionCoupling(
        reversed_operands=reversed_operands, reversed_result=reversed_result, max_position=12
    )
    tokens = ids(*texts)
    tested = positions.eval()(len(texts), 9, CPU, tokens=tokens)
    trained = positions.train()(len(texts), 9, CPU, tokens=tokens)
    for text, test_row, train_row in zip(texts, tested.tolist(), trained.tolist(), strict=True):
        assert test_row == coupled(text, reversed_operands, reversed_result, 1)
        assert max(train_row) <= 12
        assert train_row in [
            coupled(text, reversed_operands, reversed_result, start) for start in range(1, 13)
        ]


def test_coupling_of_an_addition_reads_as_in_the_paper() -> None:
    """653 + 49 = 702, and its digits of weight 1, 10 and 100 at 2, 3 and 4."""
    positions = PositionCoupling().eval()
    drawn = positions(1, 10, CPU, tokens=ids("653+49=207"))
    assert drawn.tolist() == [[4, 3, 2, 1, 3, 2, 1, 2, 3, 4]]
    positions = PositionCoupling(reversed_result=False).eval()
    drawn = positions(1, 10, CPU, tokens=ids("653+49=702"))
    assert drawn.tolist() == [[4, 3, 2, 1, 3, 2, 5, 4, 3, 2]]


def test_coupling_starts_anywhere_that_leaves_room() -> None:
    positions = PositionCoupling(max_position=7)
    tokens = ids("653+49=207", "6+4=01    ")
    highest = torch.stack([positions(2, 10, CPU, tokens=tokens).amax(1) for _ in range(100)])
    assert set(highest[:, 0].tolist()) == {4, 5, 6, 7}
    assert set(highest[:, 1].tolist()) == {3, 4, 5, 6, 7}


@pytest.mark.parametrize("positions", [Abacus(max_offset=3), PositionCoupling(max_position=7)])
def test_readers_of_tokens_serve_a_model(positions: Positions) -> None:
    model = Encoder(Dims(16, 2, 1), lambda dims: LearnedAbsolute(dims, 9), positions=positions)
    tokens = ids("653+49=207", "1+2=3     ")
    x = torch.randn(2, 10, 16)
    for _ in range(5):
        assert model(x, tokens=tokens).isfinite().all()
    expected = model.eval()(x, positions=positions(2, 10, CPU, tokens=tokens))
    assert torch.equal(model(x, tokens=tokens), expected)
    assert not torch.allclose(model(x, tokens=tokens.flip(1)), expected, atol=1e-2)
    with pytest.raises(ValueError, match=f"{type(positions).__name__} reads the tokens: call"):
        model(x)


def test_jittered_positions_train_an_encoder() -> None:
    model = Encoder(Dims(16, 2, 1), Sinusoidal, positions=Jittered())
    x = torch.randn(2, 10, 16)
    assert not torch.allclose(model(x), model(x), atol=1e-3)
    model.eval()
    assert torch.equal(model(x), model(x, positions=torch.arange(10).unsqueeze(0)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shifted(-1), "max_shift=-1 must not be negative"),
        (lambda: Jittered(max_local_shift=-1.0), "max_local_shift=-1.0 must not be negative"),
        (lambda: Jittered(max_global_scaling=0.5), "max_global_scaling=0.5 not less than 1"),
        (lambda: Interpolated(0), "trained_length must be positive, got 0"),
        (lambda: Interpolated(4, of=Grid())(1, 16, CPU), "Grid gives positions on axes"),
        (lambda: Grid((4,)), "two positive sizes or more"),
        (lambda: Grid((-1, -1)), "one may be -1"),
        (lambda: Grid((0, 4)), "two positive sizes"),
        (lambda: Grid((2, 4))(1, 9, CPU), r"9 tokens do not fill a grid of shape=\[2, 4\]; give 8"),
        (lambda: Grid((2, 4))(1, 16, CPU), "give 8 tokens"),
        (lambda: Grid((-1, 4))(1, 9, CPU), "give a multiple of 4 tokens"),
        (lambda: Abacus(()), "must name some token"),
        (lambda: Abacus(max_offset=-1), "max_offset=-1 must not be negative"),
        (lambda: PositionCoupling(equals=10), "must be different tokens"),
        (
            lambda: PositionCoupling(max_position=3)(1, 3, CPU, tokens=ids("123")),
            "a number needs position 4, beyond max_position=3",
        ),
    ],
)
def test_errors_say_what_is_wrong(make: type[Positions], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_what_changes_the_positions_of_a_reader_reads_tokens_too() -> None:
    assert Shifted(of=PositionCoupling()).reads_tokens
    assert not Shifted().reads_tokens
    tokens = ids("1+2=3")
    expected = PositionCoupling().eval()(1, 5, CPU, tokens=tokens)
    assert torch.equal(Shifted(of=PositionCoupling()).eval()(1, 5, CPU, tokens=tokens), expected)
