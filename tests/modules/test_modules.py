"""The LightningModules: heads, losses, parameter groups, schedule."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import (
    LanguageModel,
    SequenceClassifier,
    TokenClassifier,
    WarmupCosine,
    parameter_groups,
)
from lightning_posenc.positional import LearnedAbsolute, NoPE, RoPE, T5Bias
from lightning_posenc.tasks import IGNORE

SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=2)


def batch(n: int = 3, length: int = 8, **fields: torch.Tensor) -> Batch:
    tokens = torch.randint(5, (n, length))
    return Batch(**{"tokens": tokens, "targets": tokens.roll(1, 1), **fields})


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_a_padded_sequence_is_classified_as_it_is_alone(pooling: str) -> None:
    model = SequenceClassifier(SPEC, 5, 4, pooling=pooling, positional=RoPE).eval()
    padded = batch(lengths=torch.tensor([8, 5, 2]))
    together = model.logits(padded)
    for i, length in enumerate(padded.lengths.tolist()):
        alone = model.logits(Batch(padded.tokens[i : i + 1, :length], padded.targets[:1]))
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-5)


def test_pooling_takes_the_tokens_that_it_names() -> None:
    torch.manual_seed(1)
    models = {
        pooling: SequenceClassifier(SPEC, 5, 4, pooling=pooling) for pooling in ("first", "last")
    }
    one = batch(1)
    for pooling, token in (("first", 0), ("last", -1)):
        model = models[pooling].eval()
        hidden = model.encode(one.tokens, one)
        torch.testing.assert_close(model.logits(one), model.head(hidden[:, token]))


def test_ignored_targets_do_not_count() -> None:
    model = TokenClassifier(SPEC, 5, 5).eval()
    some = batch()
    targets = some.targets.clone()
    targets[:, 3:] = IGNORE
    loss, logits, _ = model.score(some._replace(targets=targets), 0)
    expected = F.cross_entropy(logits[:, :3].flatten(0, 1), targets[:, :3].flatten())
    torch.testing.assert_close(loss, expected)


def test_a_causal_language_model_does_not_see_its_targets() -> None:
    model = LanguageModel(SPEC, 5, positional=RoPE).eval()
    some = batch(1)
    changed = some._replace(tokens=torch.cat([some.tokens[:, :-1], 4 - some.tokens[:, -1:]], 1))
    torch.testing.assert_close(model.logits(some)[:, :-1], model.logits(changed)[:, :-1])


def test_masking_hides_its_share_and_scores_nothing_else() -> None:
    model = LanguageModel(SPEC, 5, objective="masked", mask_share=0.3)
    tokens = torch.randint(5, (64, 32))
    hidden, targets = model._hide(tokens, 0)
    mask = hidden == 5
    assert 0.25 < mask.float().mean() < 0.35
    assert torch.equal(hidden[~mask], tokens[~mask])
    assert torch.equal(targets[mask], tokens[mask])
    assert (targets[~mask] == IGNORE).all()
    assert not torch.equal(model._hide(tokens, 0)[0], hidden)
    model.eval()
    assert torch.equal(model._hide(tokens, 3)[0], model._hide(tokens, 3)[0])


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("embed_std", [0.02, 1.0])
def test_logits_start_small(tie: bool, embed_std: float) -> None:
    spec = EncoderSpec(d_model=64, n_heads=2, n_layers=2, embed_std=embed_std)
    model = LanguageModel(spec, 50, tie_weights=tie)
    loss, _, _ = model.score(Batch(torch.randint(50, (8, 16)), torch.randint(50, (8, 16))), 0)
    assert abs(loss.item() - math.log(50)) < 0.1


@pytest.mark.parametrize("positional", [NoPE, LearnedAbsolute, partial(T5Bias, shared=False)])
def test_every_parameter_is_in_one_group(positional: object) -> None:
    model = TokenClassifier(SPEC, 5, 5, positional=positional)
    groups = {g["name"]: g for g in parameter_groups(model, model.positional, 0.3)}
    grouped = [id(p) for g in groups.values() for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    own = {id(p) for p in model.positional.parameters()}
    assert {id(p) for p in groups.get("positional", {"params": []})["params"]} == own
    assert all(p.dim() < 2 for p in groups["no_decay"]["params"])
    assert groups["no_decay"]["weight_decay"] == 0
    if own:
        assert groups["positional"]["weight_decay"] == 0.3


def test_warmup_then_cosine() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = WarmupCosine(optimizer, total_steps=100, warmup_steps=9, final_ratio=0.1)
    rates = []
    for _ in range(101):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == pytest.approx(2.0)
    assert rates[100] == pytest.approx(0.2)
    halfway = 9 + 91 / 2
    low, high = rates[math.ceil(halfway)], rates[math.floor(halfway)]
    assert low < 2.0 * 0.55 < high
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_data_without_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="no classes; choose data that has, or a LanguageModel"):
        SequenceClassifier(SPEC, 5, None)  # type: ignore[arg-type]
