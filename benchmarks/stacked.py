"""Is a model of several seeds, trained as one, faster than one seed after the other?

    python benchmarks/stacked.py [--seeds 4 8 16] [--rounds 7] [--write]

Both are fits by Lightning, of the same seeds and batches: a `StackedModule`, or each module by
itself. Rounds of the two alternate; the figure is the time of a stacked step over that of a step of
every seed alone, median and quartiles of the rounds' ratios. Below 1 the stack is faster. On the
CPU with one thread, by the processor's time; on CUDA by the clock, the device waited for.
"""

import argparse
import functools
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import lightning as L
import timing
import torch

from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import LearnedAbsolute
from lightning_posenc.training.stacked.data import StackedData
from lightning_posenc.training.stacked.module import StackedModule

OUT = timing.RESULTS / "stacked.json"
WARM = 5  # steps that are not counted


class Config(NamedTuple):
    """Of a model of two layers, and its batches."""

    width: int
    heads: int
    batch: int
    length: int


CONFIGS = {
    "tiny": Config(16, 2, 16, 16),
    "small": Config(32, 4, 16, 32),
    "quickstart": Config(64, 4, 64, 32),
}


class Clock(L.Callback):
    """Seconds a step, after the first few.

    Args:
        now: Says what time it is.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.begun = self.seconds = 0.0

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == WARM:
            self.begun = self.now()

    def on_train_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.seconds = (self.now() - self.begun) / (trainer.global_step - WARM)


def clock(device: torch.device) -> Callable[[], float]:
    """What tells the time there."""
    if device.type == "cpu":
        return time.process_time

    def now() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


def made(config: Config, seed: int) -> tuple[SequenceClassifier, SyntheticData]:
    """A model and its data, as `configs/quickstart.yaml` has them but for their sizes."""
    torch.manual_seed(seed)
    data = SyntheticData(
        train_length=config.length, batch_size=config.batch, steps_per_epoch=10**6, seed=seed
    )
    adam = functools.partial(torch.optim.AdamW, lr=0.003, weight_decay=0.1, fused=True)
    module = SequenceClassifier(
        EncoderSpec(config.width, config.heads, 2),
        data.vocab_size,
        data.n_classes,
        positional=LearnedAbsolute,
        optimizer=adam,
    )
    return module, data


def seconds_a_step(
    module: L.LightningModule, data: L.LightningDataModule, steps: int, device: torch.device
) -> float:
    """Of a fit, without validation."""
    timer = Clock(clock(device))
    with TemporaryDirectory() as directory:
        L.Trainer(
            accelerator=device.type,
            devices=1,
            max_steps=WARM + steps,
            max_epochs=-1,
            limit_val_batches=0,
            callbacks=[timer],
            logger=False,
            default_root_dir=Path(directory),
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
        ).fit(module, datamodule=data)
    return timer.seconds


def measure(
    config: Config, n_seeds: int, rounds: int, steps: int, device: torch.device
) -> dict[str, Any]:
    """One row: seconds a step of all seeds, together and one after the other, and their ratio."""

    def together() -> float:
        pairs = [made(config, seed) for seed in range(n_seeds)]
        stacked = StackedModule([module for module, _ in pairs])
        return seconds_a_step(stacked, StackedData([data for _, data in pairs]), steps, device)

    def alone() -> float:
        pairs = (made(config, seed) for seed in range(n_seeds))
        return sum(seconds_a_step(*pair, steps, device) for pair in pairs)

    found: dict[str, list[float]] = {"together": [], "alone": []}
    contenders = {"together": together, "alone": alone}
    for number in range(rounds):
        for name in list(contenders)[:: 1 if number % 2 else -1]:
            found[name].append(contenders[name]())
    return {
        **{f"{name}, ms": timing.milliseconds(each) for name, each in found.items()},
        "together / alone": list(timing.ratio(found["together"], found["alone"])),
        "rounds": rounds,
    }


def page(kept: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "# Several seeds trained as one",
        "",
        f"{timing.described(kept['about'])}. {kept['command']}",
        "",
        "Time of a training step of all seeds together, over that of one seed after the other: "
        "median (quartiles) of alternating rounds. Below 1 the stack is faster.",
        "",
        "| model | width | batch × length | seeds | together | one by one | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry, row in kept["rows"].items():
        name, seeds = entry.split(", ")
        config = CONFIGS[name]
        lines.append(
            f"| {name} | {config.width} | {config.batch} × {config.length} | {seeds} | "
            f"{row['together, ms']:.1f} ms | {row['alone, ms']:.1f} ms | "
            f"{timing.Ratio(*row['together / alone'])} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(CONFIGS), choices=CONFIGS)
    parser.add_argument("--seeds", type=int, nargs="*", default=[4, 8, 16])
    parser.add_argument("--rounds", type=int, default=7, help="of each, alternating; at least 2")
    parser.add_argument("--steps", type=int, default=20, help="counted in a round")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {OUT.name}")
    args = parser.parse_args()
    timing.silence()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    about = timing.setting("torch", "lightning") | {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu, one thread"
    }
    kept: dict[str, Any] = {"about": about, "command": timing.command(), "rows": {}}
    for name in args.only:
        for seeds in args.seeds:
            row = measure(CONFIGS[name], seeds, args.rounds, args.steps, device)
            kept["rows"][f"{name}, {seeds}"] = row
            print(f"{name}, {seeds} seeds", timing.Ratio(*row["together / alone"]), flush=True)
    if args.write:
        timing.write(OUT, kept, page(kept))
    print(page(kept))


if __name__ == "__main__":
    main()
