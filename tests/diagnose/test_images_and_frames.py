"""The doctor on images and frames, whose tokens have no ids."""

from functools import partial
from typing import Any

import pytest
import torch

from lightning_posenc.data import ImageData, ToneData
from lightning_posenc.diagnose import page
from lightning_posenc.diagnose.ailments import AILMENTS, Finding, Verdict, judged
from lightning_posenc.diagnose.ailments.base import Remedy, ill
from lightning_posenc.diagnose.ailments.fitting import fitting
from lightning_posenc.diagnose.examination import Examination, examine
from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.scores import Answers, score
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.model import Attention, EncoderSpec, Frames, Patches, ShiftedWindows, Stage
from lightning_posenc.modules import CTCModel, ImageClassifier
from lightning_posenc.positional import LearnedGrid, NoPE, RoPE, Sinusoidal, SwinBias
from lightning_posenc.tasks import IGNORE

CELLS = {"probe/row", "probe/column"}


@pytest.fixture(scope="module")
def digits() -> ImageData:
    data = ImageData("digits", image_size=8, eval_sizes=[8, 16], batch_size=32)
    data.setup("test")
    return data


def vision(data: ImageData, **options: Any) -> OwnModel:
    torch.manual_seed(0)
    given: dict[str, Any] = {
        "encoder": EncoderSpec(16, 2, 2, init_std=0.2),
        "inputs": partial(Patches, patch_size=2, n_channels=1, n_class_tokens=1),
        "positional": partial(LearnedGrid, height=4, width=4),
    } | options
    module = ImageClassifier(given.pop("encoder"), None, data.n_classes, **given)
    return subject_of(module, data, "a model", 0)


def hearing(positional: Any = Sinusoidal, **wiring: Any) -> OwnModel:
    data = ToneData(train_length=[1, 2], eval_lengths=[2, 3], eval_samples=32, batch_size=16)
    torch.manual_seed(0)
    inputs = partial(Frames, n_features=20, subsampling=2)
    module = CTCModel(
        EncoderSpec(16, 2, 2, init_std=0.2, **wiring),
        None,
        data.n_classes,
        inputs=inputs,
        positional=positional,
    )
    return subject_of(module, data, "a model", 0)


def findings(examination: Examination) -> dict[int, Finding]:
    return {ailment.number: found for ailment, found in judged(examination)}


@pytest.mark.slow
def test_images_and_their_faults(digits: ImageData) -> None:
    """All are judged; a table of zeros is found, and so is one that cannot grow."""
    someone = vision(digits)
    assert (someone.length, someone.grid, someone.n_outside) == (17, (4, 4), 1)
    examination = examine(someone)
    found = findings(examination)
    assert len(found) == len(AILMENTS)
    assert {n for n, each in found.items() if each.verdict == Verdict.ILL} == {5}
    assert "length 16, 32 was refused" in found[5].said  # 16 was asked, and a table ends
    assert set(examination.by_layer) >= CELLS
    assert found[10].verdict == Verdict.HEALTHY
    assert page.markdown(examination, judged(examination)).count("\n| ") > len(AILMENTS)
    torch.nn.init.zeros_(someone.module.positional.table)  # type: ignore[arg-type]
    blind = findings(examine(someone))
    assert blind[10].verdict == Verdict.ILL
    assert "blind to order" in blind[10].said
    lines = [remedy.line for remedy in blind[10].remedies]
    assert lines[0].startswith("--model.positional=LearnedGrid --model.positional.height=4")
    assert lines[1] == "--model.positional=MixedRoPE"


@pytest.mark.slow
def test_windows_are_looked_at_as_the_whole_grid(digits: ImageData) -> None:
    """Rows and columns are those of the grid, though blocks see windows, and none is blamed."""
    wiring = {"mask": ShiftedWindows(4), "stages": [Stage(1)]}
    someone = vision(
        digits,
        encoder=EncoderSpec(16, 2, 2, init_std=0.2, **wiring),
        inputs=partial(Patches, patch_size=1, n_channels=1, n_class_tokens=0),
        positional=partial(SwinBias, height=4, width=4),
        pooling="mean",
    )
    examination = examine(someone)
    assert examination.grid == (8, 8)
    assert len(examination.by_layer["probe/row"]) == len(examination.sizes) == 3
    assert findings(examination)[10].verdict == Verdict.HEALTHY
    assert not {n for n, f in findings(examination).items() if f.verdict == Verdict.ILL}


@pytest.mark.slow
def test_frames_and_their_faults() -> None:
    someone = hearing()
    examination = examine(someone)
    assert examination.length == someone.n_tokens(someone.batch) < someone.batch.tokens.shape[1]
    found = findings(examination)
    assert len(found) == len(AILMENTS)
    assert not {n for n, each in found.items() if each.verdict == Verdict.ILL}
    assert found[15].verdict == Verdict.HEALTHY
    assert "other padding changes the answers by 0" in found[15].said
    assert "1 less the error rate" in found[14].said
    assert set(examination.lengths.accuracy) >= {2, 3, 4}
    # Whoever drops the lengths reads the padding, and so does what the blocks see of it.
    someone.module.embedding.register_forward_pre_hook(lambda _, args: args[:1])
    someone.module.token_lengths = lambda batch: None  # type: ignore[method-assign]
    read = findings(examine(someone))
    assert read[15].verdict == Verdict.ILL
    assert "padding is read" in read[15].said


@pytest.mark.slow
def test_frames_without_position_are_told_apart_by_nothing() -> None:
    assert findings(examine(hearing(NoPE)))[10].verdict == Verdict.ILL
    assert findings(examine(hearing(RoPE)))[10].verdict == Verdict.HEALTHY


def test_transcripts_are_scored_by_their_errors() -> None:
    written = torch.tensor([[1, 2, 3], [1, 1, IGNORE]])
    targets = torch.tensor([[1, 2, 3], [2, 1, 3]])
    found = score(Answers([torch.zeros(2, 5, 4)], [targets], (written,), (0.5,)))
    assert found is not None
    assert found.accuracy == pytest.approx(1 - 2 / 6)  # one replaced, one left out
    assert found.loss == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("--model.positional=RoPE", "--model.positional=MixedRoPE"),
        ("--model.positional=T5Bias --model.positional.shared=false", "--model.positional=LogCPB"),
        (
            "--model.positional=PerLayer --model.positional.pattern=[RoPE,NoPE]",
            "--model.positional=PerLayer --model.positional.pattern=[MixedRoPE,NoPE]",
        ),
        (
            "--model.positional=RoPE --model.positional.scaling=YaRN",
            "--model.positional=AxialRoPE --model.positional.scaling=YaRN",
        ),
        ("--model.positional=T5Bias --model.positional.num_buckets=8", None),
        ("--model.positional=FIRE", None),
        ("--model.positions=Randomized --model.positions.max_position=64", None),
        ("--trainer.max_epochs=10", "--trainer.max_epochs=10"),
    ],
)
def test_a_grid_is_given_encodings_of_grids(line: str, fits: str | None) -> None:
    remedies = fitting(ill("", Remedy(line, "")), [Attention], (4, 4)).remedies
    assert [each.line for each in remedies] == ([] if fits is None else [fits])
