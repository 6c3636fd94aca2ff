"""`predictions.jsonl` over several ranks: all rows, once, in order (B4)."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lightning_posenc.callbacks import Predictions
from lightning_posenc.data import SyntheticData
from lightning_posenc.modules.classifiers import Predicted
from lightning_posenc.tasks import Reverse


class Ranks(SyntheticData):
    """Data as one of several ranks sees it."""

    def __init__(self, rank: int, n_ranks: int) -> None:
        super().__init__(Reverse(), 4, eval_samples=10, eval_batch_size=4)
        self.who = rank, n_ranks

    def _rank_and_world_size(self) -> tuple[int, int]:
        return self.who


@pytest.mark.parametrize("n_ranks", [1, 3, 4])
def test_ranks_write_one_file(tmp_path, n_ranks: int) -> None:
    counts = []
    # Rank 0 last, which puts the others' files together.
    for rank in reversed(range(n_ranks)):
        data = Ranks(rank, n_ranks)
        trainer: Any = SimpleNamespace(
            default_root_dir=str(tmp_path), world_size=n_ranks, global_rank=rank, loggers=[],
            is_global_zero=rank == 0, datamodule=data, strategy=SimpleNamespace(barrier=str),
        )  # fmt: skip
        module: Any = SimpleNamespace(with_probabilities=False)
        callback = Predictions()
        callback.on_predict_start(trainer, module)
        assert module.with_probabilities
        loader = data.predict_dataloader()
        counts.append(len(loader))
        for n, rows in enumerate(loader.batch_sampler):
            batch = loader.dataset.__getitems__(rows)
            shares = torch.full(batch.tokens.shape, 0.5)
            found = Predicted(batch.tokens, shares)
            callback.write_on_batch_end(trainer, module, found, rows, batch, n, 0)
        callback.on_predict_end(trainer, module)
    assert len(set(counts)) == 1, "a sharded model is called equally often on every rank"
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.jsonl"]
    text = (tmp_path / "predictions.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["row"] for line in lines] == list(range(10))
    expected = Ranks(0, 1)._dataset("test", 4).__getitems__(list(range(10))).tokens.tolist()
    assert [line["prediction"] for line in lines] == [line["tokens"] for line in lines] == expected
    assert lines[0]["probabilities"] == [0.5] * 4
