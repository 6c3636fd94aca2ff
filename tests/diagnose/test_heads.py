"""What heads are for, and what a model loses without one."""

from functools import partial

import pytest
import torch
from torch import nn

from lightning_posenc.data import SyntheticData
from lightning_posenc.diagnose import heads_page
from lightning_posenc.diagnose.heads import OFFSET, OTHER, RETRIEVAL, HeadRole, measure_heads
from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.draws import Draws
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.modules import TokenClassifier
from lightning_posenc.positional import LearnedRelativeBias, NoPE
from lightning_posenc.tasks import Shift, Task
from lightning_posenc.tasks.base import Sample
from tests.diagnose.test_dilution import Marked, N, reader

LENGTH = 24


class MarkedItself(Marked):
    """The answer is the marked token as it stands there, so that it can be found again."""

    n_classes = Marked.vocab_size

    def sample(self, draws: Draws, length: int) -> Sample:
        sample = super().sample(draws, length)
        return sample._replace(targets=torch.where(sample.targets >= 0, sample.targets + N, -100))


def subject(module: TokenClassifier, task: Task) -> OwnModel:
    data = SyntheticData(
        task, train_length=LENGTH, eval_lengths=[LENGTH], batch_size=32, eval_samples=32
    )
    return subject_of(module, data, "a model", steps=0)


@torch.no_grad()
def copier() -> TokenClassifier:
    """HeadRole 0 says what stood 3 places before; head 1 looks everywhere and says nothing."""
    encoding = partial(LearnedRelativeBias, max_distance=LENGTH)
    spec = EncoderSpec(32, 2, 1, norm=nn.Identity)
    module = TokenClassifier(spec, 16, 16, positional=encoding)
    block = module.encoder.blocks[0]
    for parameter in (*module.positional.parameters(), *block.parameters()):
        parameter.zero_()
    module.positional.table[0, 0, LENGTH + 3] = 50.0
    block.attention.qkv.weight[64:80, :16] = torch.eye(16)
    block.attention.out.weight[16:, :16] = torch.eye(16)
    module.embedding.weight.copy_(torch.eye(16, 32))
    module.head.weight.zero_()
    module.head.weight[:, 16:] = 20 * torch.eye(16)
    return module


def test_a_head_that_position_decides_is_missed_and_its_content_is_not() -> None:
    copies, idle = measure_heads(subject(copier(), Shift(3)))
    assert (copies.kind, copies.at, idle.kind) == (OFFSET, 3, OTHER)
    assert copies.removed is not None
    assert copies.by_offset is not None
    assert copies.removed > 2
    assert abs(copies.by_offset) < 1e-4
    assert idle.removed == pytest.approx(0, abs=1e-6)


def test_a_head_that_content_decides_is_missed_either_way() -> None:
    module = reader(NoPE)
    module.head = nn.Linear(8, Marked.vocab_size, bias=False)
    nn.init.zeros_(module.head.weight)
    with torch.no_grad():
        module.head.weight[N : 2 * N, :N] = 40 * torch.eye(N)
        module.encoder.blocks[0].attention.qkv.weight[0] *= 3  # surer than at the trained length
    (finds,) = measure_heads(subject(module, MarkedItself()))
    assert finds.kind == RETRIEVAL
    assert finds.removed is not None
    assert finds.by_offset is not None
    assert min(finds.removed, finds.by_offset) > 0.5


def test_taking_heads_out_leaves_the_model_as_it_was() -> None:
    someone = subject(copier(), Shift(3))
    before = someone.outputs(someone.batch)
    measure_heads(someone)
    assert torch.equal(someone.outputs(someone.batch), before)


def test_the_page_names_the_costliest_first() -> None:
    scores = {OFFSET: 0.9}
    made = [
        HeadRole(0, n, OFFSET, 0.9, 3, scores, removed=cost, by_offset=0.0)
        for n, cost in enumerate((0.1, 2.0))
    ]
    (_, counts), (first, said), _ = heads_page.rows(made)
    assert counts == "2 offset"
    assert first == "layer 0, head 1"
    assert "offset 3 (0.90); without it the loss grows by 2 nats" in said
