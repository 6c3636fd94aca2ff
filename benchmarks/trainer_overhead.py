"""Time per step of a Lightning fit over that of a hand-written loop: same model, same batches.

    python benchmarks/trainer_overhead.py

Rounds of the two alternate in one process; the figure is the ratio of their medians.
"""

import argparse
import itertools
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import timing
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_posenc import callbacks
from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, WarmupCosine, parameter_groups
from lightning_posenc.runs.metrics_csv import MetricsCSV

VOCABULARY, LENGTH, BATCH = 256, 32, 16
SPEC = {"d_model": 128, "n_heads": 4, "n_layers": 4}


class StepTimes(L.Callback):
    """Seconds from one step's end to the next one's."""

    def __init__(self) -> None:
        self.stamps: list[float] = []

    def on_train_batch_end(self, *args: Any) -> None:
        self.stamps.append(time.perf_counter())


def new_model() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(EncoderSpec(**SPEC), VOCABULARY)


def batches(n: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    text = torch.randint(VOCABULARY, (n, BATCH, LENGTH + 1), generator=generator)
    return [Batch(tokens=row[:, :-1].contiguous(), targets=row[:, 1:].contiguous()) for row in text]


def lightning_steps(data: list[Batch]) -> list[float]:
    times = StepTimes()
    with TemporaryDirectory() as directory:
        trainer = L.Trainer(
            max_epochs=1,
            default_root_dir=directory,
            logger=MetricsCSV(Path(directory)),
            callbacks=[times, callbacks.RunSummary(), callbacks.RandomState()],
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(new_model(), DataLoader(data, batch_size=None))
    return differences(times.stamps)


def plain_steps(data: list[Batch]) -> list[float]:
    model = new_model().train()
    groups = parameter_groups(model, model.positional, 0.0)
    optimizer = torch.optim.AdamW(groups, lr=0.001, weight_decay=0.1)
    schedule = WarmupCosine(optimizer, len(data))
    stamps = []
    for batch in DataLoader(data, batch_size=None):
        optimizer.zero_grad()
        logits = model.logits(batch)
        F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()).backward()
        optimizer.step()
        schedule.step()
        stamps.append(time.perf_counter())
    return differences(stamps)


def differences(stamps: list[float]) -> list[float]:
    warm = stamps[10:]
    return [after - before for before, after in itertools.pairwise(warm)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each, alternating")
    parser.add_argument("--steps", type=int, default=200, help="steps in a round")
    args = parser.parse_args()
    timing.silence()
    data = batches(args.steps)
    lightning, plain = [], []
    for _ in range(args.rounds):
        plain.append(statistics.median(plain_steps(data)))
        lightning.append(statistics.median(lightning_steps(data)))
    ratios = [a / b for a, b in zip(lightning, plain, strict=True)]
    print(f"plain loop     {1e3 * statistics.median(plain):7.2f} ms a step")
    print(f"Lightning fit  {1e3 * statistics.median(lightning):7.2f} ms a step")
    print(
        f"ratio          {statistics.median(ratios):7.3f}   "
        f"(rounds: {', '.join(f'{ratio:.3f}' for ratio in ratios)})"
    )


if __name__ == "__main__":
    main()
