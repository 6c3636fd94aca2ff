"""What all watching callbacks share: the run stays as it is, cadence, logging, ranks, resuming."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.strategies import SingleDeviceStrategy
from matplotlib.figure import Figure
from torch import Tensor
from torch.optim import AdamW

from lightning_posenc.callbacks import (
    AttentionStatistics,
    OrderSensitivity,
    PositionalGradients,
    PositionalShare,
    PositionProbe,
    RankCollapse,
    Watch,
)
from lightning_posenc.callbacks.probing import Probing, isolated, look
from lightning_posenc.data import Batch, SyntheticData
from lightning_posenc.diagnostics import attention_entropy, observe
from lightning_posenc.diagnostics.quantities import Measurement, Quantity
from lightning_posenc.model import EncoderSpec
from lightning_posenc.model.kernels import attention_weights
from lightning_posenc.modules import EncoderModule, LanguageModel, SequenceClassifier
from lightning_posenc.positional import Chain, CoPE, KERPLELog, LearnedAbsolute, RoPE
from lightning_posenc.positions import Randomized
from lightning_posenc.tasks import PositionPattern

WATCHING: tuple[type[Probing], ...] = (
    AttentionStatistics,
    OrderSensitivity,
    PositionalGradients,
    PositionalShare,
    PositionProbe,
    RankCollapse,
)
SPEC = {"d_model": 16, "n_heads": 2, "n_layers": 2, "init_std": 0.2}
DYNAMO = "ignore:The .grad attribute of a Tensor:UserWarning"  # dynamo's own
SPREAD = Measurement(
    "spread",
    "spread of the states",
    lambda seen, lengths: {"mine/spread": {n: x.std() for n, x in enumerate(seen.hidden)}},
    (Quantity("mine/spread/{layer}", "spread of the states"),),
)
ADAM = partial(AdamW, lr=1e-2)


@pytest.fixture
def _unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay figures out and write their numbers, but no pixels, which take a second each."""
    monkeypatch.setattr(Figure, "savefig", lambda *args, **kwargs: None)


def classifier(positional: Any = RoPE, **wiring: Any) -> SequenceClassifier:
    torch.manual_seed(0)
    spec = EncoderSpec(**{**SPEC, **wiring})
    size = PositionPattern().vocab_size
    return SequenceClassifier(spec, size, 4, positional=positional, optimizer=ADAM)


def masked_model() -> LanguageModel:
    """Draws numbers in every forward pass: dropout, what is hidden, positions."""
    torch.manual_seed(0)
    return LanguageModel(
        EncoderSpec(**SPEC, dropout=0.2),
        PositionPattern().vocab_size,
        objective="masked",
        checkpoint_activations=True,
        positional=Chain.of(RoPE, KERPLELog),
        positions=Randomized(64),
        optimizer=ADAM,
    )


def fit(
    module: L.LightningModule, root: Path, callbacks: list[Any], ckpt_path: Any = None, **more: Any
) -> L.Trainer:
    options: dict[str, Any] = {
        "accelerator": "cpu",
        "max_steps": 4,
        "callbacks": callbacks,
        "default_root_dir": root,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "limit_val_batches": 0,
        "log_every_n_steps": 1,
    }
    trainer = L.Trainer(**{**options, **more})
    data = SyntheticData(PositionPattern(), train_length=8, batch_size=6, steps_per_epoch=20)
    torch.manual_seed(1)
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=False)
    return trainer


class Noted(L.Callback):
    """Keeps every step's loss, and the modes of the modules."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append(float(outputs["loss"]))
        assert all(part.training for part in pl_module.modules())


def compiled() -> SequenceClassifier:
    module = classifier(LearnedAbsolute, dropout=0.1)
    module.encoder.compile(backend="eager")
    return module


@pytest.mark.usefixtures("_unrendered")
@pytest.mark.parametrize(
    ("make", "options"),
    [
        pytest.param(masked_model, {"accumulate_grad_batches": 2}, id="everything-random"),
        pytest.param(
            partial(classifier, dropout=0.1),
            {"precision": "bf16-mixed"},
            id="bf16-mixed",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_run_is_bit_identical_with_and_without(
    make: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    ends = []
    for watching in ([], [watch(every_n_steps=1) for watch in WATCHING]):
        module, noted = make(), Noted()
        fit(module, tmp_path, [*watching, noted], **options)
        ends.append((module.state_dict(), noted.losses, torch.get_rng_state()))
        assert all(callback.history.steps == [0, 1, 2, 3, 4] for callback in watching)
    (weights, losses, state), (weights_watched, losses_watched, state_watched) = ends
    assert losses == losses_watched
    assert weights.keys() == weights_watched.keys()
    assert all(torch.equal(weights[name], weights_watched[name]) for name in weights)
    assert torch.equal(state, state_watched)


@pytest.mark.filterwarnings(DYNAMO)
@pytest.mark.slow
def test_watching_compiles_nothing_anew(tmp_path: Path) -> None:
    graphs, ends = [], []
    for watching in ([], [watch(every_n_steps=2) for watch in WATCHING]):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        module = compiled()
        fit(module, tmp_path, watching)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
        ends.append(module.state_dict())
    assert graphs[0] == graphs[1] > 0
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def rescored() -> SequenceClassifier:
    torch.manual_seed(0)
    size = PositionPattern().vocab_size
    return SequenceClassifier(EncoderSpec(**SPEC), size, 4, positional=CoPE, causal=True)


class Counted(L.Callback):
    """Counts the passes of the encoder that are no training steps."""

    def __init__(self) -> None:
        self.passes = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        pl_module.encoder.register_forward_hook(self._count)

    def _count(self, encoder: Any, *_: Any) -> None:
        self.passes += not encoder.training


OBSERVING = (AttentionStatistics, PositionalShare, PositionProbe, RankCollapse)


def padded() -> Batch:
    """Sequences of several lengths."""
    tokens, targets = torch.randint(4, (6, 8)), torch.randint(4, (6,))
    return Batch(tokens, targets, lengths=torch.tensor([8, 4, 5, 8, 7, 6]))


def test_one_pass_serves_all_that_observe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the same step: one extra pass where each had its own; gradients need theirs (P8)."""
    for each in (*OBSERVING, PositionalGradients):
        monkeypatch.setattr(each, "draw", lambda *args: None)
    passes = {}
    for name, makes in {
        "alone": OBSERVING[:1],
        "four": OBSERVING,
        "gradients": (*OBSERVING, partial(PositionalGradients, with_positions=False)),
    }.items():
        counted = Counted()
        fit(classifier(), tmp_path, [counted, *(make(every_n_steps=2) for make in makes)])
        passes[name] = counted.passes / 3  # looks, at steps 0, 2 and 4
    assert passes == {"alone": 1, "four": 1, "gradients": 2}


def test_cadences_meet_where_they_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in OBSERVING:
        monkeypatch.setattr(each, "draw", lambda *args: None)
    counted = Counted()
    often, seldom = RankCollapse(every_n_steps=1), PositionalShare(every_n_steps=3)
    fit(classifier(), tmp_path, [often, counted, seldom])
    assert (often.history.steps, seldom.history.steps) == ([0, 1, 2, 3, 4], [0, 3])
    assert counted.passes == 5


@pytest.mark.parametrize(
    ("make", "n_sequences", "tolerance"),
    [
        pytest.param(partial(classifier, RoPE), (4, 4, 4, 4), 0.0, id="as-many"),
        pytest.param(partial(classifier, Chain.of(RoPE, KERPLELog)), (2, 4, 6, 3), 1e-5, id="bias"),
        pytest.param(rescored, (2, 4, 6, 3), 1e-5, id="rescored"),
        pytest.param(masked_model, (6, 6, 6, 6), 0.0, id="everything-random"),
    ],
)
def test_numbers_are_those_of_passes_of_their_own(
    make: Any, n_sequences: tuple[int, ...], tolerance: float, tmp_path: Path
) -> None:
    watching = [each(n_sequences=n) for each, n in zip(OBSERVING, n_sequences, strict=True)]
    module = make()
    trainer = fit(module, tmp_path, [])
    batch = padded()
    look(watching, trainer, module, batch, 0)
    for together, kind, n in zip(watching, OBSERVING, n_sequences, strict=True):
        alone = kind(n_sequences=n)
        look([alone], trainer, module, batch, 0)
        assert list(alone.history.columns) == list(together.history.columns)
        for key, (value,) in alone.history.columns.items():
            close = pytest.approx(value, rel=tolerance, abs=tolerance, nan_ok=True)
            assert together.history.columns[key][0] == close, key


def test_a_measurement_of_ones_own_is_watched_by_its_path(tmp_path: Path) -> None:
    watch = Watch(["rank_collapse", f"{__name__}.SPREAD"], every_n_steps=4)
    trainer = fit(classifier(), tmp_path, [watch])
    assert {"rank/cosine/layer_02", "mine/spread/layer_02"} <= watch.history.columns.keys()
    assert (Path(trainer.default_root_dir) / "figures" / "spread.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="measurements=rank: there is no such one, but att"):
        Watch(["rank"])
    with pytest.raises(ValueError, match=r"measurements=tests\.nonsense\.X"):
        Watch(["tests.nonsense.X"])


@pytest.mark.parametrize("watch", WATCHING)
def test_padded_and_tiny_batches(watch: type[Probing]) -> None:
    """Numbers wherever there are some, the same keys in any case: ranks must agree on them."""
    module = classifier(LearnedAbsolute).eval()
    batch = padded()
    with torch.no_grad():
        found = watch().measure(module, batch, 0)
        alone = watch().measure(module, batch.first(1)._replace(lengths=torch.tensor([3])), 0)
    assert found.keys() == alone.keys()
    assert all(torch.as_tensor(value).isfinite() for value in found.values())


@pytest.mark.usefixtures("_unrendered")
def test_cadence_counts_optimizer_steps_once(tmp_path: Path) -> None:
    callback = RankCollapse(every_n_steps=2)
    fit(classifier(), tmp_path, [callback], max_steps=5, accumulate_grad_batches=3)
    assert callback.history.steps == [0, 2, 4]


def test_other_steps_measure_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(
        RankCollapse, "measure_in", lambda *args: calls.append(1) or {"rank/x": 1.0}
    )
    monkeypatch.setattr(RankCollapse, "draw", lambda *args: None)
    fit(classifier(), tmp_path, [RankCollapse(every_n_steps=3)], max_steps=8)
    assert len(calls) == 3  # steps 0, 3, 6


@pytest.mark.usefixtures("_unrendered")
def test_numbers_are_means_over_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks, of which the other measures 1 more: one reduction of all numbers at a time."""
    reduced = []

    def reduce(self: Any, tensor: Tensor, *args: Any, reduce_op: str) -> Tensor:
        if reduce_op != "mean":  # Lightning's own
            return tensor
        reduced.append(tensor)
        return (tensor + tensor + 1) / 2

    monkeypatch.setattr(SingleDeviceStrategy, "reduce", reduce)
    callback = RankCollapse(every_n_steps=4)
    fit(classifier(), tmp_path, [callback])
    assert len(reduced) == len(callback.history.steps) == 2
    logged = torch.tensor([column[0] for column in callback.history.columns.values()])
    torch.testing.assert_close(logged, reduced[0] + 0.5)


class Kept(L.pytorch.loggers.logger.DummyLogger):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: Any, step: Any = None) -> None:
        if any(key.startswith("attn/") for key in metrics):
            self.told.append((step, dict(metrics)))


@pytest.mark.usefixtures("_unrendered")
def test_loggers_hear_the_entropy_of_the_first_sequences(tmp_path: Path) -> None:
    module, logger, seen = classifier(), Kept(), []

    class First(L.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, *_: Any) -> None:
            if not seen:
                with isolated(trainer, pl_module), torch.no_grad(), observe(pl_module) as watch:
                    pl_module.score(batch.first(2), 0)
                    seen.extend(map(attention_weights, watch.attention))

    watch = AttentionStatistics(every_n_steps=2, n_sequences=2)
    fit(module, tmp_path, [First(), watch], logger=logger)
    assert [step for step, _ in logger.told] == [0, 2, 4]
    for layer, weights in enumerate(seen):
        for head, entropy in enumerate(attention_entropy(weights).mean(dim=(0, 2))):
            key = f"attn/entropy/layer_{layer:02d}/head_{head}"
            assert logger.told[0][1][key] == pytest.approx(float(entropy), abs=1e-4)


def test_modes_come_back_one_by_one(tmp_path: Path) -> None:
    module = classifier()
    trainer = fit(module, tmp_path, [])
    module.train()
    module.encoder.blocks[0].eval()
    before = [part.training for part in module.modules()]
    with isolated(trainer, module):
        assert not any(part.training for part in module.modules())
        torch.rand(3)
    assert [part.training for part in module.modules()] == before


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_its_history(tmp_path: Path) -> None:
    trainer = fit(classifier(), tmp_path, [RankCollapse(every_n_steps=2)])
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    callback = RankCollapse(every_n_steps=2)
    fit(classifier(), tmp_path, [callback], tmp_path / "x.ckpt", max_steps=6)
    assert callback.history.steps == [0, 2, 4, 6]
    assert {len(column) for column in callback.history.columns.values()} == {4}


def test_mistakes_end_in_a_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="RankCollapse: every_n_steps=0 must be at least 1"):
        RankCollapse(every_n_steps=0)
    with pytest.raises(ValueError, match="n_sequences=1 must be at least 2"):
        PositionProbe(n_sequences=1)
    with pytest.raises(ValueError, match="derive it from EncoderModule"):
        fit(BoringModel(), tmp_path, [RankCollapse()])
    assert isinstance(classifier(), EncoderModule)
