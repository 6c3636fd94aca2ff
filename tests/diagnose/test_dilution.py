"""Attention that dilutes with length is named, and one that grows sharper is not."""

import math
from functools import partial
from typing import ClassVar, Literal

import pytest
import torch
from torch import nn

from lightning_posenc.data import SyntheticData
from lightning_posenc.diagnose.ailments import Finding, Verdict, judged
from lightning_posenc.diagnose.examination import Examination, examine
from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.pictures import pictures
from lightning_posenc.draws import Draws
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.modules import TokenClassifier
from lightning_posenc.positional import Chain, Factory, NoPE, SSMax
from lightning_posenc.tasks import IGNORE, Task
from lightning_posenc.tasks.base import Sample

N, LENGTH, LONG = 4, 16, 512
MARK, QUESTION = N, N + 1  # channels

pytestmark = pytest.mark.slow


class Marked(Task):
    """Symbols, one of them marked, and a question at the end: which one?"""

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    vocab_size, n_classes, min_length = 2 * N + 1, N, 2

    def sample(self, draws: Draws, length: int) -> Sample:
        tokens = draws.integers(0, N, length)
        place = draws.integers(0, length - 1)[:, None]
        answer = tokens.gather(1, place)
        tokens = tokens.scatter(1, place, answer + N)
        tokens[:, -1] = 2 * N
        targets = torch.full_like(tokens, IGNORE)
        targets[:, -1:] = answer
        return Sample(tokens, targets)

    def bag_of_tokens_bound(self, length: int) -> float:
        return 1.0


@torch.no_grad()
def reader(positional: Factory) -> TokenClassifier:
    """A head that prefers the marked symbol to any other by ln LENGTH, and says what it reads."""
    spec = EncoderSpec(8, 1, 1, norm=nn.Identity)
    module = TokenClassifier(spec, Marked.vocab_size, N, positional=positional)
    table = torch.zeros(Marked.vocab_size, 8)
    for symbol in range(N):
        table[[symbol, symbol + N], symbol] = 1
    table[N : 2 * N, MARK] = 1
    table[2 * N, QUESTION] = 1
    block = module.encoder.blocks[0]
    for parameter in (*block.parameters(), *module.head.parameters()):
        parameter.zero_()
    weights = block.attention.qkv.weight  # of queries, of keys and of values
    weights[0, QUESTION] = math.log(LENGTH) * math.sqrt(8)
    weights[8, MARK] = 1
    block.attention.out.weight.copy_(torch.eye(8))
    weights[16 : 16 + N, :N] = torch.eye(N)
    module.embedding.weight.copy_(table)
    module.head.weight[:, :N] = 40 * torch.eye(N)
    return module


def examined(positional: Factory) -> Examination:
    data = SyntheticData(
        Marked(), train_length=LENGTH, eval_lengths=[LENGTH, LONG], batch_size=32, eval_samples=128
    )
    return examine(subject_of(reader(positional), data, "a reader", steps=1000))


def finding(e: Examination) -> Finding:
    return next(found for ailment, found in judged(e) if ailment.number == 22)


@pytest.fixture(scope="module")
def diluted() -> Examination:
    return examined(NoPE)


def test_a_margin_of_one_length_dilutes_at_another(diluted: Examination) -> None:
    found = finding(diluted)
    assert found.verdict == Verdict.ILL, found.said
    lines = [remedy.line for remedy in found.remedies]
    assert lines[0] == "--model.positional=Chain --model.positional.parts=[NoPE,SSMax]"
    assert f"LogN, init_args: {{trained_length: {LENGTH}}}" in lines[1]
    assert diluted.dilution is not None
    assert diluted.dilution.lengths == (LENGTH, 2 * LENGTH, 4 * LENGTH, LONG)
    _, before, after = diluted.dilution.sharpened[LONG]
    assert before.accuracy < 0.85
    assert after.accuracy > 0.9


def test_logits_that_grow_with_ln_n_do_not_dilute() -> None:
    """SSMax with s = 1 / ln LENGTH makes the same model at LENGTH tokens."""
    e = examined(Chain.of(NoPE, partial(SSMax, scale=1 / math.log(LENGTH))))
    assert finding(e).verdict == Verdict.HEALTHY
    assert e.dilution is not None
    assert not e.dilution.sharpened


def test_it_is_drawn(diluted: Examination) -> None:
    assert any("Dilution" in title for title in pictures(diluted))
