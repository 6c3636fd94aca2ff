"""A run's progress bar takes no time worth mention, and is the user's where there is one."""

from collections.abc import Sequence
from functools import wraps
from pathlib import Path

import lightning as L
import pytest
from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar, TQDMProgressBar

from lightning_posenc import api
from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import NoPE
from lightning_posenc.tasks import PositionPattern
from lightning_posenc.training.every_run import REFRESHES, callbacks_of_run
from lightning_posenc.training.stacked.together import fit_stacked
from tests.test_cli import QUICKSTART, TINY, fit


def bars(callbacks: Sequence[Callback]) -> list[Callback]:
    return [callback for callback in callbacks if isinstance(callback, ProgressBar)]


def test_it_is_drawn_few_times_a_second() -> None:
    (bar,) = bars(callbacks_of_run(None, []))
    assert isinstance(bar, RichProgressBar)
    assert bar.refresh_rate == REFRESHES


@pytest.mark.parametrize("given", [RichProgressBar(), TQDMProgressBar()])
def test_the_users_stands_alone(given: Callback) -> None:
    assert bars(callbacks_of_run(None, [given])) == []


def test_there_is_none_where_it_is_switched_off() -> None:
    assert bars(callbacks_of_run(None, [], shows_progress=False)) == []


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("way", ["command", "stacked", "objects"])
def test_every_fit_has_this_one(
    way: str, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[float | None] = []
    fits = L.Trainer.fit

    @wraps(fits)
    def watched(trainer: L.Trainer, *args: object, **options: object) -> None:
        bar = trainer.progress_bar_callback
        found.append(None if bar is None else bar.refresh_rate)  # type: ignore[attr-defined]
        fits(trainer, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(L.Trainer, "fit", watched)
    more = [f"--trainer.enable_progress_bar={str(shown).lower()}", "--trainer.max_epochs=1"]
    if way == "command":
        assert fit(tmp_path / "run", *more) == 0
    elif way == "objects":
        task = PositionPattern()
        module = SequenceClassifier(EncoderSpec(16, 2, 1), task.vocab_size, 4, positional=NoPE)
        data = SyntheticData(task, train_length=8, batch_size=4, steps_per_epoch=2)
        options = {"max_epochs": 1, "accelerator": "cpu", "log_every_n_steps": 1}
        options["enable_progress_bar"] = shown
        api.fit(module, data, trainer=options, run_dir=tmp_path / "run")
    else:
        fit_stacked([f"--config={QUICKSTART}", *TINY, *more], [0, 1], tmp_path)
    assert set(found) == {REFRESHES if shown else None}
