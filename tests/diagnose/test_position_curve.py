"""Accuracy by where the answer stands."""

import math
from typing import Any

import torch

from lightning_posenc.data import Batch, SyntheticData
from lightning_posenc.diagnose import curve_page
from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.position_curve import (
    PositionCurve,
    answers_stand_at,
    measure_position_curve,
)
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.modules import TokenClassifier
from lightning_posenc.positional import RoPE
from lightning_posenc.tasks import IGNORE, AssociativeRecall, Induction


def test_answers_stand_where_their_token_is_once() -> None:
    tokens = torch.tensor([[5, 3, 7, 3, 9, 9]])
    targets = torch.tensor([[IGNORE, IGNORE, IGNORE, 5, IGNORE, 3]])
    assert answers_stand_at(Batch(tokens, targets), targets).tolist() == [[-1, -1, -1, 0, -1, -1]]


def test_tasks_tell_it_and_texts_do_not() -> None:
    for task in (AssociativeRecall(n_pairs=2, random_filler=False), Induction()):
        data = SyntheticData(task, train_length=16, eval_lengths=[16], eval_samples=32)
        batch = next(iter(data.val_dataloader()))
        where = answers_stand_at(batch, batch.targets)
        known = where >= 0
        assert known.any()
        stands = batch.tokens.gather(1, where.clamp(min=0))
        assert (stands == batch.targets)[known].all()
    text = torch.randint(9, (2, 16))
    assert (answers_stand_at(Batch(text, text.roll(-1, 1)), text.roll(-1, 1)) == -1).all()


def test_a_model_that_loses_the_middle_has_a_u() -> None:
    data = SyntheticData(Induction(), train_length=40, eval_lengths=[40, 80], eval_samples=256)
    module = TokenClassifier(
        EncoderSpec(16, 2, 1), data.vocab_size, data.n_classes, positional=RoPE
    )
    score = module.score

    def lost(batch: Batch, index: int) -> Any:
        loss, _, targets = score(batch, index)
        where = answers_stand_at(batch, targets)
        depth = where / batch.tokens.shape[1]
        right = torch.nn.functional.one_hot(targets.clamp(min=0), data.n_classes).float()
        middle = (depth > 0.4) & (depth < 0.6)
        return loss, torch.where(middle[..., None], -right, right), targets

    module.score = lost  # type: ignore[method-assign]
    found = measure_position_curve(subject_of(module, data, "a model", steps=0))
    assert found is not None
    assert list(found.accuracy) == [40, 80, 160]
    for length, curve in found.accuracy.items():
        assert curve[0] == curve[-1] == 1
        assert curve[2] < 0.2
        assert found.u_index(length) > 0.2
        assert found.worst(length) == 0.5
    assert "least at depth 0.5" in curve_page.rows(found)[0][1]


def test_an_even_curve_has_no_u() -> None:
    assert PositionCurve({8: [0.5] * 5}).u_index(8) == 0
    assert math.isnan(PositionCurve({8: [0.5, *[math.nan] * 3, 0.5]}).u_index(8))
