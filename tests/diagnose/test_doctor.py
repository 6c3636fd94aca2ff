"""The doctor: what is measured, and what is concluded from it."""

import shlex
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from lightning_posenc.data import SyntheticData
from lightning_posenc.diagnose import costs
from lightning_posenc.diagnose.ailments import AILMENTS, Finding, Verdict, judged
from lightning_posenc.diagnose.causes import find_cause
from lightning_posenc.diagnose.examination import Examination, examine
from lightning_posenc.diagnose.gradients import strengths
from lightning_posenc.diagnose.learning import FreshTrial
from lightning_posenc.diagnose.lengths import longest
from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.pictures import pictures
from lightning_posenc.diagnose.scores import Score
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.diagnostics.measures.keys_beyond import KeysBeyond
from lightning_posenc.diagnostics.quantities import BLOCKS, MEASUREMENTS, PROBE_OF_CELLS
from lightning_posenc.dims import Dims
from lightning_posenc.model import Plain
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import (
    ALiBi,
    Droppable,
    Factory,
    LearnableFrequencies,
    LearnedAbsolute,
    LearnedRelativeBias,
    NoPE,
    RoPE,
    Sinusoidal,
    by_distance,
)
from lightning_posenc.positions import Places, Positions, Randomized

LENGTH = 12


def subject(
    encoding: Factory = LearnedAbsolute,
    steps: int = 0,
    eval_lengths: tuple[int, ...] = (LENGTH,),
    positions: Positions | None = None,
    n_layers: int = 2,
    **wiring: Any,
) -> OwnModel:
    data = SyntheticData(train_length=LENGTH, eval_lengths=list(eval_lengths), eval_samples=64)
    spec = EncoderSpec(16, 2, n_layers, **wiring)
    module = SequenceClassifier(spec, 17, 4, positional=encoding, positions=positions)
    return subject_of(module, data, "a model", steps)


def findings(examination: Examination) -> dict[int, Finding]:
    return {ailment.number: found for ailment, found in judged(examination)}


@pytest.fixture(scope="module")
def fresh() -> Examination:
    torch.manual_seed(0)
    return examine(subject())


def with_score(e: Examination, accuracy: float, loss: float, moved: float = 0.5) -> Examination:
    """As after 1000 steps that ended in this score, on data that a small model learns."""
    assert e.evaluation is not None
    evaluation = e.evaluation._replace(
        score=Score(accuracy, loss, 0.01), moved=moved, trial=FreshTrial(40, 0.1, learned=True)
    )
    lengths = e.lengths._replace(accuracy={LENGTH: accuracy})
    return e._replace(steps=1000, evaluation=evaluation, lengths=lengths)


def failed(someone: OwnModel) -> Examination:
    """Trained for long, and no better than chance."""
    return with_score(examine(someone), 0.25, 1.386)


@pytest.fixture(scope="module")
def solved(fresh: Examination) -> Examination:
    """An examination as a trained, healthy model has it."""
    order = fresh.order._replace(outputs=1.3)
    return with_score(fresh, 1.0, 0.01)._replace(order=order)


def test_what_puts_all_else_into_doubt_is_judged_first(fresh: Examination) -> None:
    numbers = [ailment.number for ailment in AILMENTS]
    assert numbers[:4] == [14, 15, 17, 16]
    assert numbers[4:] == sorted({*numbers} - {14, 15, 16, 17})
    assert [*findings(fresh)] == numbers


def test_nothing_is_ill_in_a_fresh_or_a_solved_model(
    fresh: Examination, solved: Examination
) -> None:
    for examination in (fresh, solved):
        assert [n for n, found in findings(examination).items() if found.verdict == "ill"] == []


def test_every_list_has_its_layers(fresh: Examination) -> None:
    lacks = {"routed", "planes"}  # it has no experts, and its encoding turns nothing
    rows = [row for each in MEASUREMENTS if each.sees not in lacks for row in each.quantities]
    seen = [row for row in rows if row not in PROBE_OF_CELLS]  # its tokens are on no grid
    assert fresh.by_layer.keys() == {quantity.name for quantity in seen}
    for quantity in seen:
        n = 3 if quantity.depth == BLOCKS else 1 if quantity.name == "attn/similarity" else 2
        assert len(fresh.by_layer[quantity.name]) == n, quantity.name
    assert [len(heads) for heads in fresh.by_layer["attn/entropy"]] == [2, 2]
    assert len(fresh.sizes) == 3


def test_examining_leaves_the_model_as_it_was() -> None:
    someone = subject(LearnedRelativeBias)
    before = {name: x.clone() for name, x in someone.module.state_dict().items()}
    random = torch.get_rng_state()
    examine(someone)
    after = someone.module.state_dict()
    assert all(torch.equal(x, after[name]) for name, x in before.items())
    assert all(p.grad is None and p.requires_grad for p in someone.module.parameters())
    assert torch.equal(random, torch.get_rng_state())
    assert "bias" not in vars(someone.module.positional)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", [partial(LearnedAbsolute, max_length=LENGTH), RoPE])
def test_an_encoding_that_was_dropped_is_neither_weak_nor_dead(encoding: Factory) -> None:
    someone = subject(Droppable.of(encoding), steps=1000)
    dropped = someone.module.positional
    assert isinstance(dropped, Droppable)
    dropped.drop()
    e = with_score(examine(someone), 1.0, 0.01)
    assert e.positional == e.trainable == 0
    assert [n for n, found in findings(e).items() if found.verdict == Verdict.ILL] == [10]


@pytest.mark.slow
@pytest.mark.parametrize("part", ["embedding", "encoder", ""])
def test_frozen_models_are_examined_and_have_causes(part: str) -> None:
    someone = subject(partial(Sinusoidal, scale=0.0), steps=1000)
    someone.module.get_submodule(part).requires_grad_(False)
    e = failed(someone)
    assert findings(e)[10].verdict == Verdict.ILL
    assert find_cause(someone, e, judged(e), seconds=0.1) is not None
    assert not any(p.requires_grad for p in someone.module.get_submodule(part).parameters())


def test_a_bidirectional_model_without_encoding_ignores_order() -> None:
    untrained = examine(subject(NoPE))
    for examination in (untrained, with_score(untrained, 0.25, 1.386)):
        found = findings(examination)
        assert found[10].verdict == Verdict.ILL
        assert found[6].verdict == Verdict.NOT_APPLICABLE


@pytest.mark.slow
def test_rope_at_initialisation_does_not_ignore_order() -> None:
    assert findings(examine(subject(RoPE, n_layers=6)))[10].verdict == Verdict.HEALTHY


def test_a_weak_frozen_table_cannot_adapt_and_a_trained_one_can() -> None:
    someone = subject(partial(LearnedAbsolute, std=0.01))
    assert findings(failed(someone))[2].verdict == Verdict.NOT_APPLICABLE
    someone.module.positional.requires_grad_(False)
    assert findings(failed(someone))[2].verdict == Verdict.ILL


def test_a_starved_bias_is_named_with_its_remedies() -> None:
    found = findings(failed(subject(partial(LearnedRelativeBias, std=0.0))))[6]
    assert found.verdict == Verdict.ILL
    assert [remedy.line for remedy in found.remedies] == [
        "--model.positional.std=2.0",
        "--model.positional_lr_multiplier=10",
    ]


def test_a_gradient_that_does_not_arrive_is_dead() -> None:
    class Detached(LearnedAbsolute):
        def vectors(self, positions: torch.Tensor) -> torch.Tensor:
            return super().vectors(positions).detach()

    assert findings(examine(subject(Detached)))[6].said.startswith("dead")


@pytest.mark.slow
def test_untrained_rows_are_ill_only_if_a_tested_length_uses_them() -> None:
    asked = findings(examine(subject(LearnedAbsolute, eval_lengths=(LENGTH, 2 * LENGTH))))[4]
    assert asked.verdict == Verdict.ILL
    assert "50%" in asked.said
    assert findings(examine(subject(LearnedAbsolute)))[4].verdict == Verdict.WATCH
    small = partial(LearnedAbsolute, max_length=LENGTH)
    assert findings(examine(subject(small)))[4].verdict == Verdict.HEALTHY


def test_random_positions_train_the_rows_of_longer_sequences() -> None:
    sampler = Randomized(max_position=2 * LENGTH)
    someone = subject(partial(LearnedAbsolute, max_length=2 * LENGTH), positions=sampler)
    examined = examine(someone)
    assert examined.tables.idle == 0
    assert findings(examined)[4].verdict == Verdict.HEALTHY


@pytest.mark.slow
def test_a_table_shorter_than_the_test_is_a_hard_maximum() -> None:
    table = partial(LearnedAbsolute, max_length=LENGTH + 1)
    found = findings(examine(subject(table, eval_lengths=(LENGTH, LENGTH + 4))))[5]
    assert found.verdict == Verdict.ILL
    assert findings(examine(subject(table)))[5].verdict == Verdict.WATCH
    assert findings(examine(subject(RoPE)))[5].verdict == Verdict.HEALTHY


@pytest.mark.parametrize(("encoding", "limit"), [(RoPE, None), (LearnedAbsolute, 512)])
def test_the_longest_sequence_is_found(encoding: Factory, limit: int | None) -> None:
    assert longest(encoding(Dims(16, 2, 2))) == limit


def test_learned_frequencies_are_ill_only_where_they_are_cast() -> None:
    someone = subject(LearnableFrequencies)
    assert findings(examine(someone))[12].verdict == Verdict.WATCH
    someone.module.positional.bfloat16()
    assert findings(examine(someone))[12].verdict == Verdict.ILL


def looks_back(distance: float) -> OwnModel:
    """Every head looks for the key at one distance, by a plane that turns by a radian in L."""
    someone = subject(partial(RoPE, base=LENGTH ** (4 / 3)))  # the last of four planes: 1 / L
    away = torch.tensor(-distance / LENGTH)
    with torch.no_grad():
        for block in someone.encoder.blocks:
            qkv: Any = block.attention.qkv  # type: ignore[union-attr]
            qkv.weight[:32] = 0
            for part, x, y in ((0, away.cos(), away.sin()), (1, 1.0, 0.0)):
                heads = qkv.bias[16 * part : 16 * part + 16].unflatten(0, (2, 8))
                heads[:] = 0
                heads[:, 3], heads[:, 7] = 6 * x, 6 * y
    return someone


def test_distances_beyond_training_are_to_watch_where_they_draw_attention() -> None:
    """By one and the same plane: to a key within the length, and to one at 1.5 times it."""
    far, near = (
        with_score(examine(looks_back(distance * LENGTH)), 1.0, 0.01) for distance in (1.5, 0.0)
    )
    found = findings(far)[19]
    assert found.verdict == Verdict.WATCH
    assert f"within {LENGTH} steps" in found.said
    assert "Clipped" in found.remedies[0].line
    assert findings(near)[19].verdict == Verdict.HEALTHY
    assert findings(far._replace(steps=0, evaluation=None))[19].verdict == Verdict.HEALTHY
    assert findings(far._replace(bands={}))[19].verdict == Verdict.NOT_APPLICABLE
    unknown = {layer: each._replace(beyond=None) for layer, each in far.bands.items()}
    assert findings(far._replace(bands=unknown))[19].verdict == Verdict.NOT_JUDGED
    assert list(far.bands) == [0, 1]
    assert far.bands[0].shares.shape == (2, 4)
    assert "Planes of the rotation by layer" in pictures(far)


def test_a_planted_massive_activation_is_found_with_its_token() -> None:
    """One number of one token's embedding: to watch, and ill where float16 overflows."""
    for size, verdict in ((1.0, "healthy"), (3e3, "watch"), (4e4, "ill")):
        someone = subject(RoPE)
        with torch.no_grad():
            embedding: Any = someone.module.embedding
            embedding.weight[5, 7] = size
        e = examine(someone)
        found = findings(e)[20]
        assert found.verdict == verdict
        if verdict != "healthy":
            assert "token id 5, channel 7" in found.said
            worst = e.largest[0]
            assert (someone.batch.tokens[:, worst.position] == 5).any()
            assert worst.size == pytest.approx(size)


def test_a_first_token_is_rested_on_where_it_is_weighed_and_not_read(
    fresh: Examination, solved: Examination
) -> None:
    sinks = {"attn/sink": [[0.9, 0.8], [0.95, 0.1]], "attn/sink_value": [[0.1, 0.2], [0.1, 1.0]]}
    resting = {**solved.by_layer, **sinks}
    found = findings(solved._replace(by_layer=resting))[21]
    assert found.verdict == Verdict.WATCH
    assert "3 of 4 heads" in found.said
    assert found.by_layer["heads that rest on it"] == [2, 1]
    assert "sinks=true" in found.remedies[0].line
    assert findings(fresh._replace(by_layer=resting))[21].verdict == Verdict.HEALTHY  # untrained
    read = {**resting, "attn/sink_value": [[1.0, 1.0]] * 2}
    assert findings(solved._replace(by_layer=read))[21].verdict == Verdict.HEALTHY
    alone = {**resting, "attn/sink": [[0.99, 0.99]] * 2, "attn/sink_value": [[0.1, 0.1]] * 2}
    blind = with_score(fresh._replace(by_layer=alone), 0.25, 1.3)
    lengths = blind.lengths._replace(bound=0.25)
    assert findings(blind._replace(lengths=lengths))[21].verdict == Verdict.ILL
    assert findings(solved._replace(grid=(4, 4)))[21].verdict == Verdict.NOT_APPLICABLE


def test_scaled_logits_collapse_entropy() -> None:
    someone = subject(RoPE)
    with torch.no_grad():
        for block in someone.encoder.blocks:
            block.attention.qkv.weight[:32] *= 1000  # type: ignore[index, operator, union-attr]
    assert findings(examine(someone))[7].verdict == Verdict.ILL


def test_states_that_are_not_finite_are_unstable() -> None:
    someone = subject(RoPE)
    nn.init.constant_(someone.encoder.blocks[0].attention.out.weight, torch.nan)  # type: ignore[arg-type, union-attr]
    found = findings(examine(someone))
    assert found[9].verdict == Verdict.ILL
    unseen = [each.said for each in found.values() if each.verdict == Verdict.NOT_JUDGED]
    assert len(unseen) > 10
    assert all("not finite: see 9" in said for said in unseen), unseen


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("rate", [None, 1e-4, 3e-3, 0.05])
def test_a_rate_is_named_that_the_model_did_not_have(
    fresh: Examination, rate: float | None, learns: bool
) -> None:
    """A higher one is called so, and beside a model that learns its own is named."""
    e = with_score(fresh, 0.25, 1.386)._replace(rate=rate)
    assert e.evaluation is not None
    evaluation = e.evaluation._replace(trial=FreshTrial(300, 1.38, learns))
    lines = [each.line for each in findings(e._replace(evaluation=evaluation))[16].remedies]
    named = rate is None or rate < 3e-3 or (learns and rate > 3e-3)
    assert ("--model.optimizer.lr=0.003" in lines) == named


def test_who_is_above_a_guess_has_not_learned_nothing(fresh: Examination) -> None:
    e = with_score(fresh, 0.45, 1.36)
    assert e.evaluation is not None
    evaluation = e.evaluation._replace(trial=FreshTrial(300, 1.38, learned=False))
    lengths = e.lengths._replace(bound=None)
    found = findings(e._replace(evaluation=evaluation, lengths=lengths))[16]
    assert found.said.startswith("it has learned little; no more has a small fresh model")


@pytest.mark.parametrize(("ratio", "verdict"), [(0.9, "healthy"), (0.1, "watch"), (0.01, "ill")])
def test_rank_collapse_is_judged_by_what_blocks_read(
    fresh: Examination, ratio: float, verdict: str
) -> None:
    found = {**fresh.by_layer, "rank/residual": [1.0, ratio, 0.0]}
    assert findings(fresh._replace(by_layer=found))[8].verdict == verdict


@pytest.mark.parametrize(("probe", "verdict"), [(0.01, "healthy"), (0.15, "watch"), (0.24, "ill")])
def test_fading_is_judged_before_the_last_block(
    fresh: Examination, probe: float, verdict: str
) -> None:
    errors = [share * fresh.length for share in (0.01, probe, 0.25)]
    found = {**fresh.by_layer, "probe/mae": errors}
    assert findings(fresh._replace(by_layer=found))[1].verdict == verdict


def test_failing_past_the_trained_length_says_where(solved: Examination) -> None:
    lengths = solved.lengths._replace(
        accuracy={12: 1.0, 24: 0.99, 48: 0.4}, asked=(12, 48), tokens={12: 12, 24: 24, 48: 48}
    )
    found = findings(solved._replace(lengths=lengths))[11]
    assert found.verdict == Verdict.ILL
    assert "from length 48 on" in found.said
    assert findings(solved._replace(lengths=lengths._replace(asked=(12,))))[11].verdict == "watch"


def test_strength_is_the_spread_of_what_is_added() -> None:
    encoding = ALiBi(Dims(16, 2, 2, causal=True))
    someone = subject(ALiBi)
    with strengths(someone.module.positional) as found:
        someone.module.logits(someone.batch)
    site_bias = someone.module.positional.prepare(*[Places(torch.arange(LENGTH)[None])] * 2)
    (bias,) = map(by_distance.written_out, site_bias)
    expected = bias.var(dim=-1, correction=0).mean().sqrt()
    assert found["bias"][1] == pytest.approx(float(expected), rel=1e-5)
    assert encoding is not None


@pytest.mark.slow
def test_a_bias_that_stays_a_table_is_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = examine(subject(LearnedRelativeBias))
    monkeypatch.setattr(by_distance, "LARGE", 0)
    found = examine(subject(LearnedRelativeBias))
    assert expected.cost.path == costs.LEARNED_BIAS
    assert found.cost.path == costs.BY_ROWS
    assert found.cost.matrices == 0 < expected.cost.matrices


@pytest.mark.slow
def test_every_remedy_is_a_line_that_fit_understands() -> None:
    """Each is put below the quickstart's config, with the encoding that it was printed for."""
    from lightning_posenc.training.built import Built
    from lightning_posenc.training.checkpoint_config import parse
    from lightning_posenc.training.command import USER_ERRORS

    cases = {
        "LearnedAbsolute": subject(LearnedAbsolute, eval_lengths=(LENGTH, 24)),
        "LearnedRelativeBias": subject(partial(LearnedRelativeBias, std=0.0)),
        "Sinusoidal": subject(partial(Sinusoidal, scale=0.0)),
        "RoPE": subject(partial(RoPE), residual=partial(Plain, pre_norm=False)),
    }
    printed_for = {
        remedy.line: name
        for name, someone in cases.items()
        for found in findings(_sick(failed(someone))).values()
        for remedy in found.remedies
        if remedy.line
    }
    assert len(printed_for) > 15
    quickstart = ["test", "--config=configs/quickstart.yaml"]
    parser = Built(quickstart[1:]).parser
    for line, name in printed_for.items():
        args = [*quickstart, f"--model.positional={name}"]
        parse(parser, [*args, *shlex.split(line)])
    with pytest.raises(USER_ERRORS):
        parse(parser, [*args, "--model.positional.nonsense=1"])


def _sick(e: Examination) -> Examination:
    """With everything wrong that can be wrong, so that all remedies are printed."""
    n = e.n_layers
    sick: dict[str, Any] = {
        "probe/mae": [0.0] + [0.25 * e.length] * n,
        "rank/residual": [0.0] * (n + 1),
        "attn/similarity": [1.0] * 3,
        "attn/max_logit": [[1e4]] * n,
        "attn/sink": [[1.0, 1.0]] * n,
        "attn/sink_value": [[0.0, 0.0]] * n,
        "attn/normalised_entropy": [[0.0]] * n,
    }
    drawn = KeysBeyond(torch.ones(2), torch.ones(2))
    bands = {n: each._replace(beyond=drawn) for n, each in e.bands.items()}
    return e._replace(
        by_layer={**e.by_layer, **sick},
        sizes=[1.0] + [1e4] * n,
        n_layers=n + 1,
        precision=None if e.precision is None else e.precision._replace(error=1.0),
        cost=e.cost._replace(matrices=2**40),
        bands=bands,
        largest=[each._replace(ratio=1e6, size=1e6) for each in e.largest],
    )


def test_a_finding_is_named_by_what_is_so() -> None:
    """ "✔ healthy: has not learned" says the opposite of what was found."""
    titles = {
        verdict: [ailment.title(Finding(verdict, "")) for ailment in AILMENTS]
        for verdict in Verdict
    }
    assert titles[Verdict.ILL] == titles[Verdict.WATCH] == [ailment.name for ailment in AILMENTS]
    assert len({*titles[Verdict.HEALTHY], *titles[Verdict.ILL]}) == 2 * len(AILMENTS)
    wrong = {"not", "fades", "fails", "collapse", "collapsed", "unstable", "ignores", "lose"}
    assert not wrong & {word for title in titles[Verdict.HEALTHY] for word in title.split()}
