"""The doctor asks first: is evaluation training, is anything read that must not be, was it trained?

Faults D1, D2 and D3 of one small model that reverses words.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc.data import Batch, SyntheticData
from lightning_posenc.diagnose import learning, page
from lightning_posenc.diagnose.ailments import Finding, Verdict, judged
from lightning_posenc.diagnose.evaluation import measure_evaluation
from lightning_posenc.diagnose.examination import Examination, examine
from lightning_posenc.diagnose.leaks import measure_leaks
from lightning_posenc.diagnose.learning import attempt
from lightning_posenc.diagnose.lengths import measure_lengths
from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.subject import OwnModel, Recorded
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.modules import TokenClassifier, parameter_groups
from lightning_posenc.positional import LearnedAbsolute
from lightning_posenc.positions import Consecutive, Positions, Sequences
from lightning_posenc.tasks import IGNORE, Reverse

pytestmark = pytest.mark.slow

LENGTH, WIDTH, HEADS, STEPS = 8, 32, 4, 150


def new() -> tuple[TokenClassifier, SyntheticData]:
    torch.manual_seed(0)
    data = SyntheticData(Reverse(), LENGTH, batch_size=32, steps_per_epoch=STEPS, eval_samples=256)
    spec = EncoderSpec(WIDTH, HEADS, 2, init_std=0.1)
    table = partial(LearnedAbsolute, max_length=4 * LENGTH)
    return TokenClassifier(spec, data.vocab_size, data.n_classes, positional=table), data


@pytest.fixture(scope="module")
def solved() -> OwnModel:
    """A model that reverses words without an error, as its last validation said."""
    module, data = new()
    groups = parameter_groups(module, module.positional, 0.0)
    optimizer = torch.optim.AdamW(groups, lr=5e-3)
    for step, batch in enumerate(data.train_dataloader()):
        optimizer.zero_grad()
        module.score(batch, step)[0].backward()
        optimizer.step()
    module.zero_grad()
    return subject_of(module, data, "a model", STEPS, Recorded(1.0, 0.01), 5e-3)


@pytest.fixture(scope="module")
def healthy(solved: OwnModel) -> Examination:
    return examine(solved)


def findings(e: Examination) -> dict[int, Finding]:
    return {ailment.number: found for ailment, found in judged(e)}


def ills(e: Examination) -> list[int]:
    return [number for number, found in findings(e).items() if found.verdict == Verdict.ILL]


def copied(subject: OwnModel, **changes: Any) -> OwnModel:
    given = {**vars(subject), "module": copy.deepcopy(subject.module), **changes}
    fields = OwnModel.__dataclass_fields__
    return OwnModel(**{name: value for name, value in given.items() if name in fields})


def measured(healthy: Examination, subject: OwnModel) -> Examination:
    """With what concerns evaluation measured anew, and all else as it was."""
    return healthy._replace(
        evaluation=measure_evaluation(subject),
        leaks=measure_leaks(subject),
        lengths=measure_lengths(copied(subject, others={})),
        steps=subject.steps,
    )


def test_a_model_that_works_is_healthy(healthy: Examination) -> None:
    found = findings(healthy)
    assert ills(healthy) == []
    assert {found[n].verdict for n in (14, 15, 16)} == {Verdict.HEALTHY}
    assert healthy.evaluation is not None
    assert healthy.evaluation.score.accuracy > 0.98
    assert healthy.evaluation.treated == ()  # nothing has to be tried


class Moved(Positions):
    def forward(self, sequences: Sequences) -> Tensor:
        return Consecutive()(sequences) + 1


@torch.no_grad()
def shuffled(subject: OwnModel) -> None:
    """Of D1: the rows of the table that training used, in another order."""
    table = next(subject.module.positional.parameters())
    order = torch.randperm(LENGTH, generator=torch.Generator().manual_seed(1))
    table[:LENGTH] = table[order]


def off_by_one(subject: OwnModel) -> None:
    subject.encoder.positions = Moved()


def left_padded(subject: OwnModel) -> None:
    def change(batch: Batch) -> Batch:
        n = torch.arange(len(batch.tokens)) % 3 + 1
        index = torch.arange(LENGTH + 3) - n[:, None]
        inside = (index >= 0) & (index < LENGTH)
        index = index.clamp(0, LENGTH - 1)
        tokens = batch.tokens.gather(1, index).masked_fill(~inside, 0)
        targets = batch.targets.gather(1, index).masked_fill(~inside, IGNORE)
        return batch._replace(tokens=tokens, targets=targets, lengths=LENGTH + n)

    subject.batches = [change(batch) for batch in subject.batches]
    subject.validation = partial(list, subject.batches)


def renumbered(subject: OwnModel) -> None:
    def change(batch: Batch) -> Batch:
        return batch._replace(targets=(batch.targets + 3) % 16)

    subject.batches = [change(batch) for batch in subject.batches]
    subject.validation = partial(list, subject.batches)


@torch.no_grad()
def faint(subject: OwnModel) -> None:
    """Queries and keys so small that attention is uniform."""
    for part in subject.encoder.blocks:
        part.attention.qkv.weight[: 2 * WIDTH] *= 0.1  # type: ignore[index, operator, union-attr]
        part.attention.qkv.bias[: 2 * WIDTH] *= 0.1  # type: ignore[index, operator, union-attr]


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (shuffled, "weights, positions or data are not those of training"),
        (off_by_one, "positions are off: with positions moved by -1 the accuracy is 1.000"),
        (left_padded, "padding stands on the left"),
        (renumbered, "classes have other numbers"),
        (faint, "attention's logits have another scale"),
    ],
)
def test_a_fault_of_evaluation_is_named_with_and_without_a_record(
    plant: Callable[[OwnModel], None], said: str, solved: OwnModel, healthy: Examination
) -> None:
    """D1: the score fell far below what the checkpoint says, or a treatment brings it back."""
    subject = copied(solved)
    plant(subject)
    found = measured(healthy, subject)
    assert found.evaluation is not None
    assert found.evaluation.score.accuracy < 0.6
    assert 14 in ills(found)
    alone = found._replace(evaluation=found.evaluation._replace(recorded=None, confirmed=None))
    assert 14 in ills(alone)
    assert said in findings(alone)[14].said
    assert findings(alone)[16].verdict == Verdict.NOT_JUDGED  # nor blamed
    if plant is faint:
        assert 7 in ills(alone)


def test_a_causal_model_without_its_mask_reads_the_future(healthy: Examination) -> None:
    """D1: a language model without causal mask has too good a score."""
    module, data = new()
    subject = subject_of(module, data, "a model", 0)
    tokens = subject.batch.tokens
    following = torch.cat([tokens[:, 1:], torch.full_like(tokens[:, :1], IGNORE)], dim=1)
    subject.batch = subject.batch._replace(targets=following)
    found = findings(healthy._replace(leaks=measure_leaks(subject)))[15]
    assert found.verdict == Verdict.ILL
    assert "the target is the next token" in found.said

    spec = EncoderSpec(WIDTH, HEADS, 2)
    causal = subject_of(TokenClassifier(spec, 16, 16, causal=True), data, "a model", 0)
    assert measure_leaks(causal).future == 0
    causal.encoder.masks = [None]
    assert findings(healthy._replace(leaks=measure_leaks(causal)))[15].verdict == Verdict.ILL


def test_padding_that_is_read_is_named(solved: OwnModel, healthy: Examination) -> None:
    subject = copied(solved)
    forward = subject.encoder.forward

    def deaf(x: Tensor, lengths: Tensor | None = None, **kwargs: Any) -> Tensor:
        return forward(x, **kwargs)

    subject.encoder.forward = deaf  # type: ignore[method-assign]
    found = measured(healthy, subject)
    assert 15 in ills(found)
    assert "padding is read" in findings(found)[15].said


def test_no_part_is_blamed_for_a_rate_that_trains_nothing(healthy: Examination) -> None:
    """D2: 300 steps that hardly moved the weights."""
    module, data = new()
    untrained = subject_of(module, data, "a model", 300, None, 1e-5)
    e = examine(untrained)
    assert ills(e) == []
    assert findings(e)[16].verdict == Verdict.WATCH
    assert "not trained enough to judge" in findings(e)[16].said
    assert "at a rate of 1e-05" in findings(e)[16].said
    assert "no part of the model is blamed" in page.summary(e, judged(e)).line


def test_labels_without_a_rule_are_told_from_a_model_that_fails(
    solved: OwnModel, healthy: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D2: a small fresh model learns the one, and not the other."""
    monkeypatch.setattr(learning, "STEPS", 120)
    random = torch.Generator().manual_seed(0)

    def noisy() -> list[Batch]:
        drawn = [torch.randint(16, (32, LENGTH), generator=random) for _ in range(120)]
        pairs = zip(solved.training(), drawn, strict=False)
        return [batch._replace(targets=targets) for batch, targets in pairs]

    guess = 2.77  # nats, of 16 equally common classes
    learnable = attempt(solved, guess)
    hopeless = attempt(copied(solved, training=noisy), guess)
    assert learnable is not None
    assert hopeless is not None
    assert learnable.learned
    assert not hopeless.learned

    assert healthy.evaluation is not None
    score = healthy.evaluation.score._replace(accuracy=0.06, loss=2.78)
    failed = healthy._replace(
        lengths=healthy.lengths._replace(accuracy={LENGTH: 0.06}),
        order=healthy.order._replace(outputs=0.01),
    )
    for trial, blamed in ((learnable, True), (hopeless, False)):
        evaluation = healthy.evaluation._replace(score=score, recorded=None, trial=trial)
        found = failed._replace(evaluation=evaluation)
        assert (10 in ills(found)) == blamed
        assert findings(found)[16].verdict == Verdict.WATCH


def test_what_was_learned_by_heart_is_no_fault_of_a_part(healthy: Examination) -> None:
    """D2: few data with labels at random are known, and validation is at chance."""
    assert healthy.evaluation is not None
    score = healthy.evaluation.score
    evaluation = healthy.evaluation._replace(
        score=score._replace(accuracy=0.06, loss=9.0), training=score, recorded=None, endless=False
    )
    lengths = healthy.lengths._replace(accuracy={LENGTH: 0.06})
    found = healthy._replace(evaluation=evaluation, lengths=lengths)
    assert ills(found) == []
    assert "by heart" in findings(found)[16].said
    assert 14 in ills(found._replace(evaluation=evaluation._replace(endless=True)))


@torch.no_grad()
def test_half_of_the_heads_collapsed_is_seen(solved: OwnModel) -> None:
    """D3: the mean over heads looks healthy."""
    subject = copied(solved)
    for block in subject.encoder.blocks:
        weight: Any = block.attention.qkv.weight  # type: ignore[union-attr]
        weight[: 2 * WIDTH].view(2, HEADS, -1)[:, : HEADS // 2] *= 30
    with torch.enable_grad():
        e = examine(subject)
    assert 7 in ills(e)
    assert "of 8 heads are collapsed" in findings(e)[7].said


def test_layers_may_be_alike_where_the_task_is_learned(healthy: Examination) -> None:
    """Shift by one place with one table for all layers: every layer looks one place back."""
    found = {**healthy.by_layer, "attn/similarity": [1.0, 1.0]}
    alike = healthy._replace(by_layer=found, n_layers=3)
    assert findings(alike)[3].verdict == Verdict.HEALTHY


def test_a_stream_may_grow_from_small_embeddings(healthy: Examination) -> None:
    """embed_std 0.02 is what GPT-2 starts with: 300 times over all is no explosion."""
    grown = healthy._replace(sizes=[0.02, 3.0, 6.0])
    assert findings(grown)[9].verdict != Verdict.ILL
    exploded = healthy._replace(sizes=[1.0, 200.0, 400.0])
    assert findings(exploded)[9].verdict == Verdict.ILL


def test_data_without_a_scored_target_are_examined(solved: OwnModel) -> None:
    """review.md, bug 14: the accuracy of no targets is none, and no division by zero."""
    none = [
        batch._replace(targets=torch.full_like(batch.targets, IGNORE)) for batch in solved.batches
    ]
    subject = copied(solved, batches=none, others={})
    e = examine(subject)
    assert e.lengths.accuracy == {}
    assert e.evaluation is None
    assert "no targets to score" in findings(e)[11].said
    assert "Nothing could be scored" in page.markdown(e, judged(e))


def test_weights_that_are_not_finite_are_one_finding(solved: OwnModel) -> None:
    subject = copied(solved)
    nn.init.constant_(next(subject.module.positional.parameters()), torch.nan)
    assert ills(examine(subject)) == [9]
