"""Greedy decoding: with and without a cache, ragged prompts, and what is refused."""

from functools import partial

import pytest
import torch
from torch import Tensor

from lightning_posenc.model import Attention, EncoderSpec
from lightning_posenc.modules import LanguageModel, TokenClassifier, greedy
from lightning_posenc.positional import LearnedAbsolute, RoPE, Sinusoidal, T5Bias
from lightning_posenc.positional.base import Factory
from lightning_posenc.positional.rotary.scaling import DynamicNTK, LongRoPE, Scaling
from lightning_posenc.positions import Abacus, PositionCoupling, Positions, Randomized

SPEC = EncoderSpec(
    d_model=32, n_heads=4, n_layers=2, init_std=0.4, mixer=partial(Attention, n_kv_heads=2)
)
VOCABULARY = 11


def model(positional: Factory = RoPE, **kwargs: object) -> TokenClassifier:
    """A model whose logits are far apart, so that ties do not decide."""
    made = TokenClassifier(
        SPEC, VOCABULARY, VOCABULARY, causal=True, positional=positional, **kwargs
    )  # type: ignore[arg-type]
    torch.nn.init.normal_(made.head.weight, std=1.0)
    return made.eval()


def prompts() -> tuple[Tensor, Tensor]:
    return torch.randint(VOCABULARY, (4, 6)), torch.tensor([6, 2, 4, 3])


def one_by_one(of: TokenClassifier, tokens: list[int], length: int) -> list[int]:
    """A single sequence, read anew for every token."""
    while len(tokens) < length:
        states = of.encoder(of.embedding(torch.tensor([tokens])))
        tokens = [*tokens, int(of.head(states[0, -1]).argmax())]
    return tokens


@pytest.mark.parametrize("positional", [RoPE, Sinusoidal, T5Bias])
@pytest.mark.parametrize("use_cache", [True, False])
def test_equals_decoding_each_sequence_alone(positional: Factory, use_cache: bool) -> None:
    of, (tokens, lengths) = model(positional), prompts()
    said = greedy(of, tokens, lengths, length=12, use_cache=use_cache)
    expected = [
        one_by_one(of, row[:n], 12)
        for row, n in zip(tokens.tolist(), lengths.tolist(), strict=True)
    ]
    assert said.tolist() == expected


def test_what_follows_a_prompt_is_not_read() -> None:
    of, (tokens, lengths) = model(), prompts()
    given = torch.arange(6) < lengths[:, None]
    other = torch.where(given, tokens, torch.randint_like(tokens, VOCABULARY))
    assert torch.equal(greedy(of, tokens, lengths, length=9), greedy(of, other, lengths, length=9))


def test_randomised_positions_are_drawn_once() -> None:
    of, (tokens, _) = model(positions=Randomized(64)), prompts()
    torch.manual_seed(3)
    cached = greedy(of, tokens, length=16)
    torch.manual_seed(3)
    assert torch.equal(cached, greedy(of, tokens, length=16, use_cache=False))


def test_a_language_model_continues_text() -> None:
    of = LanguageModel(SPEC, VOCABULARY, positional=RoPE).eval()
    tokens, _ = prompts()
    assert torch.equal(greedy(of, tokens, length=9), greedy(of, tokens, length=9, use_cache=False))


def test_exact_match_of_teacher_forcing_is_that_of_decoding() -> None:
    """All answers are right with the true answers before them just if they are right with the
    model's own: at the first mistake both have failed."""
    of, (tokens, _) = model(), prompts()
    answers = greedy(of, tokens, length=10)
    answers[1, 8] = (answers[1, 8] + 1) % VOCABULARY
    forced = of.scores(of.encoder(of.embedding(answers[:, :-1]))).argmax(-1)
    right = (forced == answers[:, 1:])[:, 5:].all(dim=1)
    free = (greedy(of, answers, torch.full((4,), 6)) == answers).all(dim=1)
    assert right.tolist() == free.tolist() == [True, False, True, True]


def test_refusals() -> None:
    tokens, lengths = prompts()
    both_ways = partial(TokenClassifier, SPEC, VOCABULARY, VOCABULARY)
    with pytest.raises(ValueError, match="needs a causal model"):
        greedy(both_ways().eval(), tokens)
    with pytest.raises(ValueError, match="at least one token"):
        greedy(model(), tokens, lengths * 0)
    with pytest.raises(ValueError, match="must become 3"):
        greedy(model(), tokens, length=3)


@pytest.mark.parametrize("scaling", [DynamicNTK(4, 16), LongRoPE(4, 16)], ids=["ntk", "longrope"])
def test_a_scaling_that_changes_with_the_length_is_refused_beyond_it(scaling: Scaling) -> None:
    """Within the trained length the cache serves; beyond it earlier keys would have to turn."""
    of, (tokens, _) = model(partial(RoPE, scaling=scaling)), prompts()
    within = greedy(of, tokens, length=16)
    assert torch.equal(within, greedy(of, tokens, length=16, use_cache=False))
    with pytest.raises(ValueError, match="decode without a cache"):
        greedy(of, tokens, length=20)
    assert greedy(of, tokens, length=20, use_cache=False).shape == (4, 20)


DIGITS = tuple(range(7))
COUPLING = partial(PositionCoupling, digits=DIGITS, separators=(7,), equals=8, max_position=100)
READERS = [Abacus(DIGITS), COUPLING(), COUPLING(reversed_result=False)]
EQUATIONS = torch.tensor([[1, 2, 7, 3, 4, 8], [5, 7, 6, 8, 0, 0]]), torch.tensor([6, 4])


def in_turn(of: TokenClassifier, tokens: list[int], length: int) -> list[int]:
    """A single sequence, read anew for every token, which a sampler of positions reads too."""
    while len(tokens) < length:
        ids = torch.tensor([tokens])
        states = of.encoder(of.embedding(ids), tokens=ids)
        tokens = [*tokens, int(of.head(states[0, -1]).argmax())]
    return tokens


@pytest.mark.parametrize("positions", READERS, ids=repr)
def test_a_sampler_that_reads_tokens_sees_what_is_said_and_no_more(positions: Positions) -> None:
    """F5: what followed a prompt was read, pads counted as digits, the answer's length leaked."""
    of = model(partial(LearnedAbsolute, max_length=128), positions=positions)
    tokens, lengths = EQUATIONS
    expected = [
        in_turn(of, row[:n], 16) for row, n in zip(tokens.tolist(), lengths.tolist(), strict=True)
    ]
    assert greedy(of, tokens, lengths, length=16, use_cache=False).tolist() == expected
    for tail in (0, 3, 10):
        given = torch.arange(6) < lengths[:, None]
        other = torch.where(given, tokens, tail)
        assert greedy(of, other, lengths, length=16, use_cache=False).tolist() == expected


@pytest.mark.parametrize("positions", READERS, ids=repr)
def test_a_cache_gives_the_same_or_is_refused(positions: Positions) -> None:
    """F5: with a cache, without one and by hand there were three answers."""
    of, (tokens, lengths) = model(RoPE, positions=positions), EQUATIONS
    plain = greedy(of, tokens, lengths, length=16, use_cache=False)
    try:
        cached = greedy(of, tokens, lengths, length=16)
    except ValueError as error:
        assert "use_cache=False" in str(error)  # noqa: PT017 (or it is the same)
    else:
        assert torch.equal(cached, plain)


def test_digits_that_move_earlier_ones_refuse_a_cache() -> None:
    of = model(RoPE, positions=COUPLING(reversed_result=False))
    with torch.no_grad():
        of.head.bias[2] = 1e4  # says the digit 2, on and on
    with pytest.raises(ValueError, match="changed the positions of earlier ones"):
        greedy(of, *EQUATIONS, length=16)
    assert greedy(of, *EQUATIONS, length=16, use_cache=False)[0, 6:].tolist() == [2] * 10


def test_a_result_longer_than_its_positions_is_not_refused_for_its_length() -> None:
    """F5: "1+2=" to 130 tokens was refused, though no number in it is longer than 99 digits."""
    of = model(RoPE, positions=COUPLING())
    with torch.no_grad():
        of.head.bias[9] = 1e4  # never a digit
    said = greedy(of, torch.tensor([[1, 7, 2, 8]]), length=130)
    assert said[0, 4:].tolist() == [9] * 126


@pytest.mark.parametrize(
    "lengths",
    [
        torch.tensor([7, 2, 4, 3]), torch.tensor([6, 2]), torch.tensor([2.5, 2, 4, 3]),
        torch.ones(4, dtype=torch.bool),
    ],
)  # fmt: skip
def test_prompt_lengths_that_do_not_fit_are_refused(lengths: Tensor) -> None:
    with pytest.raises(ValueError, match="decoding: prompt"):
        greedy(model(), prompts()[0], lengths, length=9)


def test_no_prompts_give_no_texts() -> None:
    nothing = torch.zeros(0, 4, dtype=torch.long)
    assert greedy(model(), nothing, length=9).shape == (0, 9)


def test_padding_behind_a_prompt_may_be_any_number() -> None:
    of, (tokens, lengths) = model(), prompts()
    padded = torch.where(torch.arange(6) < lengths[:, None], tokens, -100)
    expected = greedy(of, tokens, lengths, length=9)
    assert torch.equal(greedy(of, padded, lengths, length=9), expected)
    narrow = greedy(of, tokens.to(torch.uint8), lengths, length=9)
    assert torch.equal(narrow, expected)
