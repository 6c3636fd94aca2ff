"""Samplers that read tokens, beside plain loops.

They run here in an encoder under LearnedAbsolute: the conformance suite feeds its models with
vectors that come from no token.
"""

from itertools import groupby

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_posenc import Dims, Encoder
from lightning_posenc.positional import LearnedAbsolute
from lightning_posenc.positions import Abacus, PositionCoupling, Positions, Sequences, Shifted
from tests.positions.texts import DIGITS, SYMBOLS, ids

CPU = torch.device("cpu")


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
    assert torch.equal(positions.eval()(Sequences(len(texts), 9, CPU, tokens=tokens)), expected)
    drawn = positions.train()(Sequences(len(texts), 9, CPU, tokens=tokens))
    offsets = (drawn - expected)[expected > 0]
    assert not drawn[expected == 0].any()
    assert offsets.unique().numel() <= 1
    assert all(0 <= offset <= 99 for offset in offsets.tolist())


def test_abacus_draws_every_offset_once_for_the_batch_or_once_a_sequence() -> None:
    tokens = ids("12", "34", "56")
    once, each = Abacus(max_offset=2), Abacus(max_offset=2, per_sequence=True)
    drawn = torch.stack([once(Sequences(3, 2, CPU, tokens=tokens))[:, 0] for _ in range(60)])
    assert (drawn == drawn[:, :1]).all()
    assert set(drawn.flatten().tolist()) == {1, 2, 3}
    drawn = torch.stack([each(Sequences(3, 2, CPU, tokens=tokens))[:, 0] for _ in range(60)])
    assert (drawn != drawn[:, :1]).any()


def test_abacus_takes_other_tokens_for_digits() -> None:
    tokens = torch.tensor([[48, 3, 50, 51, 52, 48]])
    drawn = Abacus(digits=(48, 50, 51)).eval()(Sequences(1, 6, CPU, tokens=tokens))
    assert drawn.tolist() == [[1, 0, 1, 2, 0, 1]]


@pytest.mark.parametrize("positions", [Abacus(), PositionCoupling()])
def test_a_number_ends_with_its_document(positions: Positions) -> None:
    tokens = ids("12=34567")
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 2, 2]])
    drawn = positions.eval()(Sequences(1, 8, CPU, documents, tokens=tokens))[0]
    for document in documents.unique():
        own = documents[0] == document
        alone = positions(Sequences(1, int(own.sum()), CPU, tokens=tokens[:, own]))[0]
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
    tested = positions.eval()(Sequences(len(texts), 9, CPU, tokens=tokens))
    trained = positions.train()(Sequences(len(texts), 9, CPU, tokens=tokens))
    for text, test_row, train_row in zip(texts, tested.tolist(), trained.tolist(), strict=True):
        assert test_row == coupled(text, reversed_operands, reversed_result, 1)
        assert max(train_row) <= 12
        assert train_row in [
            coupled(text, reversed_operands, reversed_result, start) for start in range(1, 13)
        ]


def test_coupling_of_an_addition_reads_as_in_the_paper() -> None:
    """653 + 49 = 702, and its digits of weight 1, 10 and 100 at 2, 3 and 4."""
    positions = PositionCoupling().eval()
    drawn = positions(Sequences(1, 10, CPU, tokens=ids("653+49=207")))
    assert drawn.tolist() == [[4, 3, 2, 1, 3, 2, 1, 2, 3, 4]]
    positions = PositionCoupling(reversed_result=False).eval()
    drawn = positions(Sequences(1, 10, CPU, tokens=ids("653+49=702")))
    assert drawn.tolist() == [[4, 3, 2, 1, 3, 2, 5, 4, 3, 2]]


def test_coupling_starts_anywhere_that_leaves_room() -> None:
    positions = PositionCoupling(max_position=7)
    tokens = ids("653+49=207", "6+4=01    ")
    highest = torch.stack(
        [positions(Sequences(2, 10, CPU, tokens=tokens)).amax(1) for _ in range(100)]
    )
    assert set(highest[:, 0].tolist()) == {4, 5, 6, 7}
    assert set(highest[:, 1].tolist()) == {3, 4, 5, 6, 7}


@pytest.mark.parametrize("positions", [Abacus(max_offset=3), PositionCoupling(max_position=7)])
def test_readers_of_tokens_serve_a_model(positions: Positions) -> None:
    model = Encoder(Dims(16, 2, 1), lambda dims: LearnedAbsolute(dims, 9), positions=positions)
    tokens = ids("653+49=207", "1+2=3     ")
    x = torch.randn(2, 10, 16)
    for _ in range(5):
        assert model(x, tokens=tokens).isfinite().all()
    expected = model.eval()(x, positions=positions(Sequences(2, 10, CPU, tokens=tokens)))
    assert torch.equal(model(x, tokens=tokens), expected)
    assert not torch.allclose(model(x, tokens=tokens.flip(1)), expected, atol=1e-2)
    with pytest.raises(ValueError, match=f"{type(positions).__name__} reads the tokens: call"):
        model(x)


def test_what_changes_the_positions_of_a_reader_reads_tokens_too() -> None:
    assert Shifted(of=PositionCoupling()).reads_tokens
    assert not Shifted().reads_tokens
    tokens = ids("1+2=3")
    expected = PositionCoupling().eval()(Sequences(1, 5, CPU, tokens=tokens))
    assert torch.equal(
        Shifted(of=PositionCoupling()).eval()(Sequences(1, 5, CPU, tokens=tokens)), expected
    )
