"""Sampling: Hugging Face's own processors leave the same tokens, draws follow the distribution, and
a sequence's do not depend on its batch."""

import doctest
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import (
    LanguageModel,
    Sampling,
    decoding,
    greedy,
    sample,
    sampling,
    stream,
)
from lightning_posenc.positional import RoPE

SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=1, init_std=0.4)
VOCABULARY = 11
SAID = torch.tensor([[0, 1, 1, 5], [3, 3, 3, 3], [7, 8, 9, 2]])


def model() -> LanguageModel:
    return LanguageModel(SPEC, VOCABULARY, positional=RoPE).eval()


def scores() -> dict[str, Tensor]:
    """Scores far apart, scores of which many are equal, and scores that are all equal."""
    wide = 3 * torch.randn(3, VOCABULARY)
    return {"wide": wide, "ties": wide.round(), "flat": torch.zeros(3, VOCABULARY)}


def expected(given: Sampling, of: Tensor) -> Tensor:
    """What Hugging Face's `generate` draws from, by the processors that it makes itself."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tiny = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
            num_attention_heads=1,
        )
    )  # fmt: skip
    config = GenerationConfig(
        do_sample=True,
        temperature=float(given.temperature),
        top_k=given.top_k or 0,
        top_p=given.top_p,
        min_p=given.min_p or None,
        repetition_penalty=float(given.repetition_penalty),
    )
    tiny.generation_config = config
    processors = tiny._get_logits_processor(config, input_ids_seq_length=SAID.shape[1])
    return processors(SAID, of.clone())


CHOICES = [
    Sampling(),
    Sampling(temperature=0.6),
    Sampling(top_k=3),
    Sampling(top_k=1),
    Sampling(top_k=99),
    Sampling(top_p=0.8),
    Sampling(top_p=0.0),
    Sampling(min_p=0.2),
    Sampling(min_p=1.0),
    Sampling(repetition_penalty=1.7),
    Sampling(repetition_penalty=0.6),
    Sampling(temperature=1.5, top_k=6, top_p=0.7, min_p=0.05, repetition_penalty=1.3),
]


@pytest.mark.slow
@pytest.mark.parametrize("given", CHOICES, ids=lambda given: repr(given)[9:-1])
def test_the_same_is_left_as_by_hugging_face(given: Sampling) -> None:
    for name, of in scores().items():
        found, wanted = given.left(of, SAID), expected(given, of)
        assert torch.equal(found.isinf(), wanted.isinf()), name
        torch.testing.assert_close(found.softmax(-1), wanted.softmax(-1), atol=1e-6, rtol=0)


def test_draws_follow_the_distribution() -> None:
    """Chi-squared of 20,000 draws from what is left, none from what is not: 99.99 % of such sums
    of 6 lie below 28."""
    given, n = Sampling(temperature=1.3, top_k=7, seed=5), 20_000
    of = 2 * torch.randn(1, VOCABULARY)
    drawn = given.drawn(torch.arange(n), 2, torch.device("cpu"))
    assert drawn is not None
    chosen = given.chosen(of.expand(n, -1), torch.zeros(n, 1, dtype=torch.int64), drawn[:, 1])
    counts = chosen.bincount(minlength=VOCABULARY).double()
    shares = given.left(of).softmax(-1)[0].double()
    assert int((shares > 0).sum()) == 7
    assert counts[shares == 0].sum() == 0
    kept = shares > 0
    assert ((counts - n * shares)[kept] ** 2 / (n * shares[kept])).sum() < 28


def test_a_share_that_is_drawn_at_its_very_end_is_still_its_token() -> None:
    given, none = Sampling(), torch.zeros(1, 1, dtype=torch.int64)
    of = torch.tensor([[0.0, 0.0, -torch.inf, 0.0, -torch.inf]])
    ends = [0.0, 1 / 3 - 1e-9, 1 / 3 + 1e-9, 2 / 3 + 1e-9, 1 - 2**-48]
    found = [int(given.chosen(of, none, torch.tensor([u], dtype=torch.float64))) for u in ends]
    assert found == [0, 0, 1, 3, 3]


def test_a_sequence_is_the_same_in_any_batch() -> None:
    of, prompts = model(), torch.randint(VOCABULARY, (4, 3))
    lengths, given = torch.tensor([3, 1, 2, 3]), Sampling(seed=7)
    together = sample(of, prompts, lengths, length=20, sampling=given)
    for row in (0, 1, 3):
        alone = sample(
            of, prompts[[row], : lengths[row]], length=20, sampling=given,
            numbers=torch.tensor([row]),
        )  # fmt: skip
        assert torch.equal(alone[0], together[row])
    shorter = sample(of, prompts, lengths, length=9, sampling=given)
    assert torch.equal(shorter, together[:, :9])


def test_seeds_and_numbers_decide() -> None:
    of, prompts = model(), torch.tensor([[1, 2], [1, 2]])
    said = [sample(of, prompts, length=24, sampling=Sampling(seed=seed)) for seed in (0, 0, 1)]
    assert torch.equal(said[0], said[1])
    assert not torch.equal(said[0], said[2])
    assert not torch.equal(said[0][0], said[0][1])


def test_no_temperature_is_the_likeliest() -> None:
    of, prompts = model(), torch.randint(VOCABULARY, (3, 4))
    cold = sample(of, prompts, length=12, sampling=Sampling(temperature=0, seed=3))
    assert torch.equal(cold, greedy(of, prompts, length=12))
    # Who may not repeat says all tokens before one comes again.
    new = sample(of, prompts[:, :1], length=VOCABULARY,
                   sampling=Sampling(temperature=0, repetition_penalty=1e6))  # fmt: skip
    with torch.no_grad():
        positive = of.scores(of.encoder(of.embedding(prompts[:, :1])))[:, -1]
    first = positive.scatter(1, prompts[:, :1], -torch.inf).argmax(-1)
    assert torch.equal(new[:, 1], first)


def test_an_end_ends_and_all_ends_stop() -> None:
    of, prompts, lengths = model(), torch.tensor([[4, 1, 4], [4, 0, 0]]), torch.tensor([3, 1])
    given = Sampling(temperature=3.0, seed=2)
    free = sample(of, prompts, lengths, length=60, sampling=given)
    ended = sample(of, prompts, lengths, length=60, sampling=given, end=4)
    for row, n in zip(range(2), lengths.tolist(), strict=True):
        at = n + free[row, n:].tolist().index(4)  # that of the prompt ended nothing
        assert torch.equal(ended[row, : at + 1], free[row, : at + 1])
        assert (ended[row, at:] == 4).all()
    assert ended.shape[1] < 60
    assert (ended[:, -2] != 4).any()


def test_a_stream_gives_what_is_said_token_by_token() -> None:
    of, prompts, lengths = model(), torch.tensor([[4, 1, 4], [4, 2, 0]]), torch.tensor([3, 2])
    given = Sampling(seed=1)
    whole = sample(of, prompts, lengths, length=12, sampling=given)
    tokens = stream(of, prompts, lengths, length=12, sampling=given)
    assert torch.equal(next(tokens), torch.tensor([4, int(whole[1, 2])]))
    assert torch.equal(torch.stack(list(tokens), dim=1), whole[:, 3:])
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temperature": -0.1}, "Sampling: temperature=-0.1 must be a number in"),
        ({"temperature": float("nan")}, "temperature=nan must"),
        ({"top_k": 0}, "top_k=0 must be at least 1"),
        ({"top_k": 2.0}, "top_k=2.0 must be a whole number"),
        ({"top_p": 1.1}, "top_p=1.1 must"),
        ({"min_p": -1}, "min_p=-1 must"),
        ({"repetition_penalty": 0}, "repetition_penalty=0 must"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
    ],
)
def test_what_makes_no_sense_is_one_line(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Sampling(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [1e-5, 1e-38, 1e-40, 1e-300, 5e-324])
def test_the_coldest_draws_are_the_likeliest_tokens(temperature: float) -> None:
    """Scores over 1e-40 are infinite in float32, and 1 / 1e-46 is; neither is the model's fault."""
    given = Sampling(temperature=temperature)
    of = torch.tensor([[1.0, 7.0, -torch.inf, 2.0], [-9.0, -2e4, -8.0, -torch.inf]])
    assert torch.equal(given.left(of).softmax(-1).argmax(-1), torch.tensor([1, 2]))
    drawn = torch.tensor([0.3, 0.99], dtype=torch.float64)
    assert torch.equal(given.chosen(of, SAID[:2], drawn), torch.tensor([1, 2]))


def test_a_penalty_does_not_overflow_half_precision() -> None:
    """3e4 · 1e6 is infinite in float16, as is 4e4 · 1e6: which is the larger, nobody would know."""
    of = torch.tensor([[3e4, 4e4, 1.0]]).half()
    given = Sampling(temperature=0.0, repetition_penalty=1e-6)
    assert given.chosen(of, torch.tensor([[0, 1]]), None).tolist() == [1]


def test_who_writes_into_what_is_streamed_changes_nothing() -> None:
    of, prompts = model(), torch.tensor([[4, 1, 4]])
    said = []
    for token in stream(of, prompts, length=40):
        said.append(token.clone())
        token.fill_(1)
    assert torch.equal(torch.stack(said, dim=1), sample(of, prompts, length=40)[:, 3:])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"length": 5.0}, "length=5.0 must be a whole number"),
        ({"length": "5"}, "length='5' must be a whole number"),
        ({"prompt_lengths": [3, 2]}, r"prompt_lengths=\[3, 2\] must be a tensor"),
        ({"sampling": 0.7}, "sampling=0.7 must be a Sampling"),
        ({"sampling": {"top_k": 3}}, "sampling={'top_k': 3} must be a Sampling"),
    ],
)
@pytest.mark.parametrize("how", [sample, stream])
def test_arguments_of_another_type_are_one_line(
    how: Callable[..., object], options: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=f"decoding: {said}"):
        how(model(), torch.zeros(2, 3, dtype=torch.int64), **options)


def test_numbers_and_scores_that_do_not_fit_are_refused() -> None:
    of, prompts = model(), torch.zeros(2, 3, dtype=torch.int64)
    for numbers in (torch.tensor([0]), torch.tensor([0, -1]), torch.tensor([0.0, 1.0])):
        with pytest.raises(ValueError, match=r"decoding: numbers=.* must be whole numbers"):
            sample(of, prompts, length=5, sampling=Sampling(), numbers=numbers)
    with pytest.raises(ValueError, match="decoding: end=11 must be"):
        sample(of, prompts, length=5, end=11)
    with torch.no_grad():
        of.embedding.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="a score is NaN or infinite"):
        sample(of, prompts, length=5, sampling=Sampling())


@pytest.mark.parametrize("module", [sampling, decoding], ids=["sampling", "decoding"])
def test_examples_run(module: object) -> None:
    found = doctest.testmod(module, extraglobs={"torch": torch})  # type: ignore[arg-type]
    assert found.attempted > 2
    assert not found.failed
