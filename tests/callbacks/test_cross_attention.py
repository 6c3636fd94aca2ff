"""What is told of how a decoder reads: against loops over a few numbers, and while it learns.

Shapes: B sequences, H heads, T tokens of an answer, S of a source.
"""

import json
import math
from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch

from lightning_posenc.callbacks import AttentionStatistics, CrossAttention, OrderSensitivity
from lightning_posenc.data import PairData
from lightning_posenc.diagnostics.measures.alignment import align
from lightning_posenc.masks import Visibility
from lightning_posenc.masks.batch import MemoryPadding
from lightning_posenc.model import CrossReading, EncoderSpec
from lightning_posenc.model.kernels import Operands, attention_weights
from lightning_posenc.modules import SequenceToSequence
from lightning_posenc.positional import RoPE
from lightning_posenc.runs.metrics_csv import MetricsCSV
from lightning_posenc.tasks import WordOrder

B, H, T, S = 3, 2, 5, 6


def operands(q: torch.Tensor, k: torch.Tensor, lengths: torch.Tensor) -> Operands:
    seen = Visibility(MemoryPadding(lengths), q.shape[2], k.shape[2], q.device, first=0)
    return Operands(q, k, k, None, seen, None, 1.0)


def test_numbers_are_those_of_their_definitions() -> None:
    torch.manual_seed(0)
    said, read = torch.tensor([5, 3, 2]), torch.tensor([6, 4, 2])
    of = operands(2 * torch.randn(B, H, T, 4), torch.randn(B, H, S, 4), read)
    weights, found = attention_weights(of).double(), align(of, said, read)
    for head in range(H):
        entropies, monotone, covered = [], [], []
        for b in range(B):
            n, m = int(said[b]), int(read[b])
            rows = weights[b, head, :n]
            entropies += [-sum(w * math.log(w) for w in row if w > 0) for row in rows.tolist()]
            centres = [sum(j * w for j, w in enumerate(row)) for row in rows.tolist()]
            monotone.append(torch.corrcoef(torch.tensor([list(range(n)), centres]))[0, 1])
            covered.append(sum(min(1.0, float(rows[:, j].sum())) for j in range(m)) / m)
        assert float(found.entropy[head]) == pytest.approx(sum(entropies) / 10, abs=1e-5)
        assert float(found.monotonicity[head]) == pytest.approx(float(sum(monotone)) / 3, abs=1e-5)
        assert float(found.coverage[head]) == pytest.approx(sum(covered) / 3, abs=1e-5)


@pytest.mark.parametrize(("turned", "expected"), [(False, 1.0), (True, -1.0)])
def test_reading_in_order_and_backwards(turned: bool, expected: float) -> None:
    eye = 50 * torch.eye(S).expand(1, H, S, S)
    full = torch.tensor([S])
    found = align(operands(eye, eye.flip(2) / 50 if turned else eye / 50, full), full)
    torch.testing.assert_close(found.monotonicity, torch.full((H,), expected))
    torch.testing.assert_close(found.coverage, torch.ones(H))
    assert found.entropy.max() < 1e-6
    one = align(operands(eye[:, :, :1].expand(-1, -1, S, -1), eye / 50, full), full)
    torch.testing.assert_close(one.coverage, torch.full((H,), 1 / S))
    assert one.monotonicity.abs().max() < 1e-6  # always at the same place


@pytest.mark.slow
def test_a_run_is_watched_on_both_sides(tmp_path: Path) -> None:
    """The encoder by what watches attention, the decoder's reading by its own; and nothing is
    changed by it.
    """
    data = PairData(WordOrder(3, 3, 2), train_length=[3, 6], batch_size=8, eval_samples=8)
    weights = []
    for watched in (True, False):
        L.seed_everything(0, verbose=False)
        of = SequenceToSequence(
            EncoderSpec(16, 2, 2, dropout=0.1), data.vocab_size, data.n_classes, positional=RoPE,
            cross=partial(CrossReading, positional=RoPE),
        )  # fmt: skip
        watching = [CrossAttention(2, 4), AttentionStatistics(2, 4), OrderSensitivity(2, 4)]
        trainer = L.Trainer(
            max_steps=3, default_root_dir=tmp_path, enable_progress_bar=False, accelerator="cpu",
            enable_model_summary=False, limit_val_batches=0, enable_checkpointing=False,
            logger=MetricsCSV(tmp_path) if watched else False,
            callbacks=watching if watched else [],
        )  # fmt: skip
        trainer.fit(of, data)
        weights.append(torch.cat([p.detach().flatten() for p in of.parameters()]))
    assert torch.equal(*weights)
    names = json.loads((tmp_path / "figures" / "cross_attention.json").read_text())
    told = json.dumps(names)
    for name in ("entropy", "monotonicity", "coverage"):
        assert f"cross/{name}/layer_01" in told
    maps = json.loads((tmp_path / "figures" / "alignment.json").read_text())
    assert set(maps) == {"layer_00", "layer_01"}
    for row in maps["layer_00"][0]:
        assert sum(row) == pytest.approx(1.0, abs=1e-3)
    assert (tmp_path / "figures" / "attention_statistics.png").exists()


def test_a_model_of_one_stack_has_no_cross_attention() -> None:
    with pytest.raises(ValueError, match="no decoder"):
        CrossAttention().setup(None, L.LightningModule(), "fit")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_heads=0"):
        CrossAttention(n_heads=0)
