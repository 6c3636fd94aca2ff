"""Which ailment is the cause: what gives the score back when it alone is cut away."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc.diagnose import page
from lightning_posenc.diagnose.ailments import Verdict, judged
from lightning_posenc.diagnose.bounded_logits import BOUND, bound_logits
from lightning_posenc.diagnose.causes import find_cause
from lightning_posenc.diagnose.causes.ablations import ABLATIONS
from lightning_posenc.diagnose.causes.trying import AblationTrials
from lightning_posenc.diagnose.examination import Examination, examine
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.model.kernels import Kernels
from lightning_posenc.model.mixers import Attention, FNet
from lightning_posenc.model.residual import Residual
from lightning_posenc.positional import (
    DAPE,
    LearnedAbsolute,
    LearnedRelativeBias,
    NoPE,
    RoPE,
    Sinusoidal,
)
from tests.diagnose.test_doctor import failed, findings, fresh, subject, with_score

assert fresh  # a fixture


class BranchAlone(Residual):
    """Without the identity beside the branch."""

    def join(self, x: Tensor, branch: Tensor) -> Tensor:
        return branch


def frozen_table() -> OwnModel:
    someone = subject(partial(LearnedAbsolute, std=1e-3), steps=1000)
    someone.module.positional.requires_grad_(False)
    return someone


def test_a_healthy_model_has_no_cause(fresh: Examination) -> None:
    assert find_cause(subject(), fresh, judged(fresh)) is None


def test_without_time_the_one_that_can_bring_about_the_others_is_named() -> None:
    someone = frozen_table()
    e = failed(someone)
    ill = {n for n, found in findings(e).items() if found.verdict == Verdict.ILL}
    assert {2, 10} <= ill
    cause = find_cause(someone, e, judged(e), seconds=0)
    assert cause is not None
    assert cause.ailment.number == 2
    assert not cause.proved
    assert not cause.tried
    head = page.summary(e, judged(e), cause)
    assert head.cause.startswith("To be mended first: 2, fixed encoding cannot adapt")
    assert "cause_seconds" not in head.cause  # nobody wanted it
    hurried = find_cause(someone, e, judged(e), seconds=1e-3)
    assert hurried is not None
    assert hurried.said.endswith(
        "no copy was trained, which takes longer than --cause_seconds=0.001"
    )


@pytest.mark.parametrize(
    ("make", "number"),
    [
        pytest.param(frozen_table, 2, id="frozen", marks=pytest.mark.slow),
        pytest.param(
            partial(subject, partial(Sinusoidal, scale=0.0), steps=1000),
            2,
            id="fixed at 0",
            marks=pytest.mark.slow,
        ),
        pytest.param(partial(subject, NoPE, steps=1000), 10, id="blind", marks=pytest.mark.slow),
        pytest.param(
            partial(subject, LearnedAbsolute, 1000, n_layers=6, residual=BranchAlone, init_std=0.1),
            8,
            id="no identity",
            marks=pytest.mark.long,
        ),
    ],
)
def test_the_cause_gives_the_score_back(make: Any, number: int) -> None:
    torch.manual_seed(0)
    someone = make()
    e = failed(someone)
    before = [p.clone() for p in someone.module.parameters()]
    cause = find_cause(someone, e, judged(e))
    assert cause is not None
    assert cause.proved, cause
    assert cause.ailment.number == number
    shown = max(each.score.accuracy for each in cause.tried)
    assert shown > cause.tried[0].without.accuracy + 0.3
    assert all(map(torch.equal, before, someone.module.parameters()))
    head = page.summary(e, judged(e), cause)
    assert head.cause.startswith(f"The cause is {number}, ")
    assert head.cause in page.markdown(e, judged(e), cause).replace("\\", "")


def test_logits_are_bounded_head_by_head_and_left_after() -> None:
    someone = subject(partial(LearnedRelativeBias, std=300.0))
    encoder = someone.encoder
    with observe(someone.module) as before:
        plain = someone.module.logits(someone.batch)
    largest = [
        (torch.where(logits.isfinite(), logits, 0.0)).amax(dim=(0, 2, 3)).tolist()
        for logits in map(_logits, before.attention)
    ]
    assert max(map(max, largest)) > 100
    handles = bound_logits(encoder, largest)
    with observe(someone.module) as bounded:
        someone.module.logits(someone.batch)
    tops = [float(_logits(each).amax()) for each in bounded.attention[:1]]
    assert max(tops) == pytest.approx(BOUND, rel=1e-3)
    for handle in handles:
        handle.remove()
    assert torch.equal(plain, someone.module.logits(someone.batch))


def test_each_layer_is_bounded_by_its_own_logits_where_some_have_none() -> None:
    someone = subject(LearnedAbsolute, mixer=[FNet, Attention], n_layers=4)
    handles = bound_logits(someone.encoder, [[20.0, 1.0], [1.0, 1.0]])
    with observe(someone.module) as bounded:
        someone.module.logits(someone.batch)
    assert bounded.layers == [1, 3]
    factors: list[Any] = [
        hook.args[0].tolist()
        for part in someone.encoder.modules()
        if isinstance(part, Kernels)
        for hook in part._forward_pre_hooks.values()
    ]
    assert factors == [[0.5, 1.0], [1.0, 1.0]]
    assert len(handles) == 2


def _logits(operands: Any) -> Tensor:
    from lightning_posenc.model.kernels.operands import logits

    return logits(operands).detach()


@pytest.mark.slow
def test_saturation_is_told_from_smallness() -> None:
    torch.manual_seed(0)
    saturated = findings(examine(subject(partial(LearnedRelativeBias, std=3e4))))[6]
    assert "attention is saturated" in saturated.said
    assert saturated.verdict != Verdict.HEALTHY

    class Unheard(LearnedRelativeBias):
        def bias_at(self, delta: Tensor) -> Tensor:
            bias = super().bias_at(delta)
            return bias.detach() + 1e-12 * (bias - bias.detach())

    small = findings(examine(subject(Unheard)))[6]
    assert small.verdict == Verdict.ILL
    assert small.said.startswith("dead")
    assert "saturated" not in small.said


@pytest.mark.slow
def test_matrices_are_those_of_a_training_batch() -> None:
    many = 1 + (9 << 30) // (4 * 2 * 12**2 * 2)
    for encoding, verdict in ((DAPE, Verdict.ILL), (RoPE, Verdict.HEALTHY)):
        someone = replace(subject(encoding), of_a_batch=many)
        assert findings(examine(someone))[13].verdict == verdict


@pytest.mark.slow
def test_a_model_that_fails_longer_and_nothing_else_has_that_for_a_cause() -> None:
    someone = subject(Sinusoidal, eval_lengths=(12, 48), steps=1000)
    e = with_score(examine(someone), 1.0, 0.01)
    e = e._replace(
        lengths=e.lengths._replace(accuracy={12: 1.0, 48: 0.3}),
        order=e.order._replace(outputs=1.0),
    )
    cause = find_cause(someone, e, judged(e))
    assert cause is not None
    assert cause.ailment.number == 11


@pytest.mark.parametrize("cut", ABLATIONS, ids=lambda cut: cut.done)
def test_a_cut_goes_on_a_copy_and_leaves_a_model_that_runs(cut: Any, fresh: Examination) -> None:
    someone = subject()
    found = AblationTrials(someone, fresh, 1.0).at_once(cut)
    assert found is not None
    assert 0 <= found.score.accuracy <= 1
    assert not any(
        len(m._forward_hooks) for m in someone.module.modules() if isinstance(m, nn.Module)
    )
