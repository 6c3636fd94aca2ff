"""The doctor on models that write an answer to a source."""

import pytest
import torch

from lightning_posenc.data import PairData
from lightning_posenc.diagnose.ailments import Finding, Verdict, judged
from lightning_posenc.diagnose.examination import Examination, examine
from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceToSequence
from lightning_posenc.positional import RoPE, Sinusoidal
from lightning_posenc.positional.base import Factory
from lightning_posenc.tasks import Addition, SortNumbers, Task, WordOrder


def subject(task: Task, positional: Factory = RoPE) -> OwnModel:
    data = PairData(task, train_length=3, eval_lengths=[3, 5], eval_samples=32, batch_size=16)
    torch.manual_seed(0)
    spec = EncoderSpec(16, 2, 2, init_std=0.3)
    module = SequenceToSequence(spec, task.vocab_size, data.n_classes, positional=positional)
    return subject_of(module, data, "a model", 0)


def findings(examination: Examination) -> dict[int, Finding]:
    return {ailment.number: found for ailment, found in judged(examination)}


def test_a_decoder_that_cannot_see_its_source_ignores_it() -> None:
    someone = subject(Addition())
    assert isinstance(someone.module, SequenceToSequence)
    found = findings(examine(someone))
    assert found[18].verdict == Verdict.HEALTHY
    assert set(found[18].by_layer) == {
        f"{name} of cross-attention" for name in ("entropy", "monotonicity", "coverage")
    }
    assert {len(layers) for layers in found[18].by_layer.values()} == {2}
    # An answer's length is not its source's: nothing is read where it does not stand.
    assert found[15].verdict == Verdict.HEALTHY
    assert found[10].verdict == Verdict.HEALTHY
    for block in someone.module.decoder.blocks:
        for parameter in getattr(block, "cross_attention").out.parameters():  # noqa: B009
            torch.nn.init.zeros_(parameter)
    found = findings(examine(someone))
    assert found[18].verdict == Verdict.ILL
    assert "the source is not read" in found[18].said


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    [
        pytest.param(Addition(), id="Addition"),
        pytest.param(SortNumbers(), id="SortNumbers", marks=pytest.mark.long),
        pytest.param(WordOrder(), id="WordOrder", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("positional", [RoPE, Sinusoidal])
def test_nothing_is_ill_in_an_untrained_one(task: Task, positional: Factory) -> None:
    found = findings(examine(subject(task, positional)))
    assert not {n for n, each in found.items() if each.verdict == Verdict.ILL}
    assert found[10].verdict == Verdict.HEALTHY
