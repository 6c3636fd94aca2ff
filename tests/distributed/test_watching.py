"""What callbacks log and draw on two ranks is what they do on one."""

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.callbacks import (
    AccuracyByPosition,
    AttentionMaps,
    AttentionStatistics,
    LengthGeneralization,
    OrderSensitivity,
    PositionalGradients,
    PositionalShare,
    PositionProbe,
    RankCollapse,
)
from lightning_posenc.callbacks.gathering import interleaved
from lightning_posenc.data import Batch
from lightning_posenc.positional import Chain, KERPLELog, LearnedAbsolute, RoPE
from lightning_posenc.tasks import IGNORE
from tests.distributed.ranks import on_ranks
from tests.distributed.runs import data, model, strategy, trainer

WATCHING = (
    AttentionStatistics,
    OrderSensitivity,
    PositionalGradients,
    PositionalShare,
    PositionProbe,
    RankCollapse,
)
ENCODINGS = {
    "refusing": partial(LearnedAbsolute, max_length=8),  # positions beyond its end, and floats
    "chain": Chain.of(RoPE, KERPLELog),
}
FIGURES = ("attention", "length_generalization", "accuracy")


def numbers(name: str, world_size: int, root: Path, encodings: Sequence[str]) -> dict[str, float]:
    """All that the callbacks logged and drew, by run and key."""
    found: dict[str, float] = {}
    for encoding in encodings:
        watching = [watch(every_n_steps=2, n_sequences=6) for watch in WATCHING]
        for each in watching:
            each.draw = lambda _: None  # type: ignore[method-assign]
        drawing = [LengthGeneralization(), AttentionMaps(), AccuracyByPosition()]
        directory = root / name / encoding
        runner = trainer(
            directory, strategy(name, world_size), world_size, [*watching, *drawing], max_steps=2
        )
        module, stream = model(ENCODINGS[encoding]), data(eval_lengths=[4, 8])
        runner.fit(module, stream)
        runner.test(module, stream, verbose=False)
        logged: dict[str, Any] = dict(runner.callback_metrics)
        for each in watching:
            assert each.history.steps == [0, 2]
            logged |= {f"{key}@{n}": x for key, xs in each.history.columns.items()
                       for n, x in enumerate(xs)}  # fmt: skip
        runner.strategy.barrier()  # the first rank draws
        for figure in FIGURES:
            drawn = json.loads((directory / "figures" / f"{figure}.json").read_text())
            logged |= flat(drawn, figure)
        found |= {f"{encoding}: {key}": float(value) for key, value in logged.items()}
    return found


def flat(value: Any, key: str) -> dict[str, float]:
    """The numbers in a JSON value."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for name, x in inner for k, v in flat(x, f"{key}/{name}").items()}
    return {key: math.nan if value is None else value} if not isinstance(value, str) else {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_two_ranks_tell_what_one_tells(name: str, tmp_path: Path) -> None:
    alone = numbers("auto", 1, tmp_path, list(ENCODINGS))
    together = on_ranks(numbers, name, 2, tmp_path, list(ENCODINGS))[0]
    assert together.keys() == alone.keys()
    assert len(alone) > 300
    wrong = {
        key: (x, together[key])
        for key, x in alone.items()
        if together[key] != pytest.approx(x, rel=2e-4, abs=2e-5, nan_ok=True)
    }
    assert wrong == {}


def test_shares_of_several_widths_are_one_batch() -> None:
    whole = Batch(
        torch.arange(20).view(4, 5), torch.arange(20).view(4, 5), torch.tensor([5, 2, 4, 3])
    )
    narrow = Batch(whole.tokens[1::2, :3], whole.targets[1::2, :3], whole.lengths[1::2])
    wide = Batch(*(None if field is None else field[::2] for field in whole))
    made = interleaved([wide, narrow])
    assert torch.equal(made.lengths, whole.lengths)
    real = torch.arange(5) < whole.lengths[:, None]
    assert torch.equal(made.tokens[real], whole.tokens[real])
    assert (made.targets[1::2, 3:] == IGNORE).all()
    # Without lengths, the narrow share's rows end where they are cut.
    made = interleaved([wide._replace(lengths=None), narrow._replace(lengths=None)])
    assert made.lengths.tolist() == [5, 3, 5, 3]
