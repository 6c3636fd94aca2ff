"""What do the diagnostic callbacks cost, on the recipe of configs/shakespeare_char.yaml?

    python benchmarks/diagnostics.py tinyshakespeare.txt [--write]

Within one fit, in each round: some plain steps, then a measurement by each callback alone, then by
all of them together, as where they meet at a step. At a cadence of n steps the overhead is the
median of a measurement, and n times that of a callback's look at the step count, over n median
steps. Figures at the end of a fit, once in a run, are timed apart. One thread. --write keeps the
table in results/diagnostics.md.
"""

import argparse
import itertools
import platform
import statistics
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import timing
import torch

from lightning_posenc import callbacks
from lightning_posenc.callbacks.probing import Probing, look
from lightning_posenc.data import TextData
from lightning_posenc.model import MLP, Attention, EncoderSpec
from lightning_posenc.modules import LanguageModel
from lightning_posenc.positional import ALiBi, LearnedAbsolute, RoPE
from lightning_posenc.runs.metrics_csv import MetricsCSV

OUT = Path(__file__).parent / "results" / "diagnostics.md"
LENGTH, BATCH, STEPS_IN_A_ROUND, WARM_UP, IDLE = 64, 12, 10, 2, 1000
WATCHING: tuple[type[Probing], ...] = (
    callbacks.PositionalGradients,
    callbacks.AttentionStatistics,
    callbacks.RankCollapse,
    callbacks.PositionProbe,
    callbacks.PositionalShare,
    callbacks.OrderSensitivity,
)
TOGETHER = "all together"


class Rounds(L.Callback):
    """Times plain steps, and between them measurements."""

    def __init__(self) -> None:
        self.watching = [make() for make in WATCHING]
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._stamp: float | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for callback in self.watching:
            callback.setup(trainer, pl_module, "fit")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if self._stamp is not None:
            self.seconds["step"].append(now - self._stamp)
        if trainer.global_step % STEPS_IN_A_ROUND == 0:
            for callback in self.watching:
                self._time(type(callback).__name__, [callback], trainer, pl_module, batch)
            self._time(TOGETHER, self.watching, trainer, pl_module, batch)
        self._stamp = time.perf_counter()

    def _time(
        self, name: str, watching: list[Probing], trainer: L.Trainer, module: Any, batch: Any
    ) -> None:
        start = time.perf_counter()
        look(watching, trainer, module, batch, 0)
        self.seconds[name].append(time.perf_counter() - start)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for callback in self.watching:
            start = time.perf_counter()
            callback.on_train_end(trainer, pl_module)
            self.seconds[f"{type(callback).__name__} figures"] = [time.perf_counter() - start]
            callback.every_n_steps = 10**9
            start = time.perf_counter()
            for _ in range(IDLE):
                callback.on_train_batch_start(trainer, pl_module, None, 0)
                callback.on_train_batch_end(trainer, pl_module, None, None, 0)
            idle = (time.perf_counter() - start) / IDLE
            self.seconds[f"{type(callback).__name__} idle"] = [idle]


def measure(path: Path, positional: Any, rounds: int) -> dict[str, float]:
    """Median seconds of everything timed in one fit."""
    torch.manual_seed(0)
    spec = EncoderSpec(
        128,
        4,
        4,
        embed_std=0.02,
        mixer=partial(Attention, bias=False),
        norm=lambda d: torch.nn.LayerNorm(d, bias=False),
        feed_forward=partial(MLP, bias=False),
    )
    data = TextData(str(path), vocabulary="chars", train_length=LENGTH, batch_size=BATCH)
    timed = Rounds()
    with TemporaryDirectory() as directory:
        data.prepare_data()
        data.setup("fit")
        model = LanguageModel(spec, data.vocab_size, positional=positional)
        trainer = L.Trainer(
            max_steps=(rounds + WARM_UP) * STEPS_IN_A_ROUND,
            default_root_dir=directory,
            logger=MetricsCSV(Path(directory)),
            callbacks=[timed],
            gradient_clip_val=1.0,
            accelerator="cpu",
            limit_val_batches=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(model, data)
    return {
        name: statistics.median(
            times
            if len(times) == 1
            else times[WARM_UP * (STEPS_IN_A_ROUND if name == "step" else 1) :]
        )
        for name, times in timed.seconds.items()
    }


def rows(found: dict[str, float], cadence: int) -> list[tuple[str, float, float]]:
    """Name, milliseconds of a measurement, and overhead."""
    names = [make.__name__ for make in WATCHING]
    idle = {name: found[f"{name} idle"] for name in names} | {
        TOGETHER: sum(found[f"{name} idle"] for name in names)
    }
    return [
        (name, 1e3 * found[name], (found[name] / cadence + idle[name]) / found["step"])
        for name in (*names, TOGETHER)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="tinyshakespeare.txt")
    parser.add_argument("--rounds", type=int, default=20, help="measurements of each callback")
    parser.add_argument("--write", action="store_true", help=f"write {OUT.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    timing.silence()
    cadence = WATCHING[0]().every_n_steps
    lines = [
        "# Cost of the diagnostic callbacks",
        "",
        f"`python benchmarks/diagnostics.py tinyshakespeare.txt --rounds {args.rounds} --write`",
        "",
        f"4 layers, width 128, T {LENGTH}, batch {BATCH}; one thread, {platform.machine()}, torch "
        f"{torch.__version__}. Overhead of a step at the default cadence, every {cadence} steps; "
        "medians within one fit.",
        "",
    ]
    for positional in (LearnedAbsolute, RoPE, ALiBi):
        found = measure(args.path, positional, args.rounds)
        figures = sum(value for name, value in found.items() if name.endswith(" figures"))
        lines += [
            f"**{positional.__name__}**: {1e3 * found['step']:.1f} ms a step; all figures at the "
            f"end {figures:.1f} s.",
            "",
            "| callback | one measurement (ms) | overhead |",
            "|---|---|---|",
            *(f"| {name} | {ms:.1f} | {share:.2%} |" for name, ms, share in rows(found, cadence)),
            "",
        ]
        print("\n".join(itertools.chain(lines[-len(WATCHING) - 7 :])))
    if args.write:
        OUT.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
