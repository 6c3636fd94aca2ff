"""Documents of one row that read each other are named; those that do not are not."""

from typing import Any

import pytest
import torch

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.ailments import LEAKS
from lightning_posenc.diagnose.leaks import measure_leaks
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.modules import TokenClassifier
from lightning_posenc.positional import (
    ALiBi,
    Chain,
    CoPE,
    Factory,
    FoX,
    LearnedAbsolute,
    PaTH,
    RoPE,
    SelectiveRoPE,
)

T = 20


def subject(encoding: Factory, documents: bool = True) -> OwnModel:
    torch.manual_seed(0)
    spec = EncoderSpec(16, 2, 2, init_std=0.3)
    module = TokenClassifier(spec, 11, 11, causal=True, positional=encoding).eval()
    tokens = torch.randint(11, (4, T))
    of = (torch.arange(T) >= 7).long() + (torch.arange(T) >= 15).long()
    batch = Batch(tokens, tokens.roll(-1, 1), documents=of.expand(4, -1) if documents else None)
    return OwnModel(module, [batch], "a model", trained_length=T)


class LeaksExamined:
    """As much of an examination as is judged."""

    is_own = True

    def __init__(self, leaks: Any) -> None:
        self.leaks = leaks


def verdict(someone: OwnModel) -> str:
    judged: Any = LeaksExamined(measure_leaks(someone))
    return LEAKS.judge(judged).verdict


@pytest.mark.parametrize(
    "encoding", [RoPE, ALiBi, LearnedAbsolute, CoPE, FoX, PaTH, SelectiveRoPE, Chain.of(RoPE, FoX)]
)
def test_documents_do_not_read_each_other(encoding: Factory) -> None:
    found = measure_leaks(subject(encoding))
    assert found.packed is not None
    assert found.packed < 1e-5
    assert verdict(subject(encoding)) == "healthy"


def test_a_row_of_one_document_says_nothing() -> None:
    assert measure_leaks(subject(RoPE, documents=False)).packed is None


def test_a_model_that_forgets_the_documents_is_ill() -> None:
    someone = subject(RoPE)
    encode = someone.module.encode

    def forgetful(tokens: Any, batch: Batch) -> Any:
        return encode(tokens, batch._replace(documents=None))

    someone.module.encode = forgetful  # type: ignore[method-assign]
    found = measure_leaks(someone)
    assert found.packed is not None
    assert found.packed > 0.1
    assert verdict(someone) == "ill"
