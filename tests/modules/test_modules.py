"""The LightningModules: heads, losses, parameter groups, schedule."""

import copy
import math
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning as L
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    SequentialLR,
)
from torch.utils.data import DataLoader

from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import (
    GroupWarmup,
    LanguageModel,
    SequenceClassifier,
    TokenClassifier,
    WarmupCosine,
    parameter_groups,
)
from lightning_posenc.modules.scheduling import ScheduleFactory
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
    given = Batch(tokens, tokens)
    hidden, targets = model._hide(given, 0)
    mask = hidden == 5
    assert 0.25 < mask.float().mean() < 0.35
    assert torch.equal(hidden[~mask], tokens[~mask])
    assert torch.equal(targets[mask], tokens[mask])
    assert (targets[~mask] == IGNORE).all()
    assert not torch.equal(model._hide(given, 0)[0], hidden)
    model.eval()
    assert torch.equal(model._hide(given, 3)[0], model._hide(given, 3)[0])


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


SCHEDULES: dict[str, ScheduleFactory] = {
    "from its base": WarmupCosine,
    "from its last": lambda optimizer, total: CosineAnnealingLR(optimizer, total),
    "in sequence": lambda optimizer, total: SequentialLR(
        optimizer, [ConstantLR(optimizer, 0.5, 3), ExponentialLR(optimizer, 0.9)], [3]
    ),
}


def optimizer_of_groups() -> SGD:
    rest, positional = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    return SGD(
        [{"name": "decay", "params": [rest]}, {"name": "positional", "params": [positional]}],
        lr=2.0,
    )


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_a_groups_warmup_multiplies_any_schedule(make: ScheduleFactory) -> None:
    optimizer = optimizer_of_groups()
    schedule = GroupWarmup(make(optimizer, 20), "positional", warmup_steps=4, frozen_steps=2)
    shares = []
    for _ in range(12):
        rest, positional = (group["lr"] for group in optimizer.param_groups)
        shares.append(positional / rest)
        assert schedule.get_last_lr() == [rest, positional]
        optimizer.step()
        schedule.step()
    assert shares == pytest.approx([0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])

    alone = optimizer_of_groups()
    plain = make(alone, 20)
    for _ in range(12):
        alone.step()
        plain.step()
    assert alone.param_groups[1]["lr"] == pytest.approx(optimizer.param_groups[1]["lr"])


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("taken", [0, 1, 3, 7])
def test_a_groups_warmup_goes_on_from_its_state(make: ScheduleFactory, taken: int) -> None:
    """Optimizers make new groups when they load their state."""
    first, second = optimizer_of_groups(), optimizer_of_groups()
    of, other = (GroupWarmup(make(each, 20), "positional", 4, 1) for each in (first, second))
    for _ in range(taken):
        first.step()
        of.step()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    other.load_state_dict(copy.deepcopy(of.state_dict()))
    for _ in range(8):
        rates = [[group["lr"] for group in each.param_groups] for each in (first, second)]
        assert rates[0] == rates[1]
        for optimizer, schedule in ((first, of), (second, other)):
            optimizer.step()
            schedule.step()


@pytest.mark.parametrize("waits", [{"warmup_steps": -1}, {"frozen_steps": -2}])
def test_a_negative_warmup_is_refused(waits: dict[str, int]) -> None:
    optimizer = optimizer_of_groups()
    with pytest.raises(ValueError, match=r"_steps=-.* must be at least 0"):
        GroupWarmup(WarmupCosine(optimizer, 10), "positional", **waits)


class Rates(L.Callback):
    """The table and the groups' rates at every step of a run."""

    def __init__(self) -> None:
        self.rates: list[dict[str, float]] = []
        self.tables: list[torch.Tensor] = []

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        (optimizer,) = trainer.optimizers
        self.rates.append({group["name"]: group["lr"] for group in optimizer.param_groups})
        self.tables.append(cast(Any, module).positional.table.detach().clone())


def falling(optimizer: torch.optim.Optimizer, total: int) -> CosineAnnealingLR:
    """The same whatever the run's length."""
    return CosineAnnealingLR(optimizer, 20)


def trained(folder: Path, steps: int, ckpt_path: Path | None = None, **options: Any) -> Rates:
    """A real run of 4 steps an epoch; leaves the checkpoint `folder/after_<steps>.ckpt`."""
    torch.manual_seed(0)
    seen = Rates()
    model = SequenceClassifier(
        SPEC,
        5,
        4,
        positional=LearnedAbsolute,
        optimizer=partial(AdamW, lr=0.01),
        schedule=falling,
        **options,
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        callbacks=[seen],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        accumulate_grad_batches=2,
        limit_val_batches=0,
    )
    data = [Batch(torch.randint(5, (4, 8)), torch.randint(4, (4,))) for _ in range(8)]
    loader: Any = DataLoader(cast(Any, data), batch_size=None)
    trainer.fit(model, loader, loader, ckpt_path=ckpt_path, weights_only=False)
    trainer.save_checkpoint(folder / f"after_{steps}.ckpt")
    # A step of the optimizer is two batches.
    seen.rates, seen.tables = seen.rates[::2], seen.tables[::2]
    return seen


def test_positional_parameters_wait_then_warm_up_then_follow(tmp_path: Path) -> None:
    seen = trained(
        tmp_path,
        8,
        positional_frozen_steps=2,
        positional_warmup_steps=3,
        positional_lr_multiplier=10.0,
    )
    shares = [rates["positional"] / rates["decay"] for rates in seen.rates]
    assert shares == pytest.approx([0, 0, 2.5, 5, 7.5, 10, 10, 10])
    moved = [
        not torch.equal(before, after)
        for before, after in zip(seen.tables, seen.tables[1:], strict=False)
    ]
    assert moved == [False] * 2 + [True] * 5


def test_a_resumed_run_warms_up_where_it_stopped(tmp_path: Path) -> None:
    options: dict[str, Any] = {"positional_warmup_steps": 6, "positional_lr_multiplier": 3.0}
    whole = trained(tmp_path, 9, **options)
    trained(tmp_path, 4, **options)
    rest = trained(tmp_path, 9, ckpt_path=tmp_path / "after_4.ckpt", **options)
    assert [rates["positional"] for rates in rest.rates] == pytest.approx(
        [rates["positional"] for rates in whole.rates[4:]]
    )


def test_a_multiplier_of_zero_freezes_the_positional_parameters(tmp_path: Path) -> None:
    seen = trained(tmp_path, 4, positional_lr_multiplier=0.0, positional_weight_decay=0.5)
    assert all(torch.equal(seen.tables[0], table) for table in seen.tables)


def test_without_positional_parameters_nothing_waits() -> None:
    optimizer = SGD([{"name": "decay", "params": [nn.Parameter(torch.zeros(1))]}], lr=2.0)
    schedule = GroupWarmup(WarmupCosine(optimizer, 10, 0), "positional", 5)
    assert schedule.get_last_lr() == [2.0]


def test_data_without_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="no classes; choose data that has, or a LanguageModel"):
        SequenceClassifier(SPEC, 5, None)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_a_barebones_trainer_trains() -> None:
    """It logs at no step, of which the number is 0."""
    batch = Batch(tokens=torch.randint(5, (2, 6)), targets=torch.randint(5, (2, 6)))
    module = LanguageModel(EncoderSpec(d_model=8, n_heads=1, n_layers=1), vocab_size=5)
    before = module.embedding.weight.detach().clone()
    trainer = L.Trainer(barebones=True, max_epochs=1, accelerator="cpu")
    trainer.fit(module, DataLoader([batch, batch], batch_size=None))
    assert not torch.equal(before, module.embedding.weight)
