"""Does the quickstart take longer than the loop that a person would write for it?

    python benchmarks/quickstart.py [--rounds 3] [--write]

Whole processes in turn, start-up included, one thread each, by the processor's time: the fit
command, and a program with the same model, data, optimizer and schedule, which trains as many
steps, validates as often and tests at the end, without checkpoints, figures, callbacks or
Lightning. `--write` keeps results/quickstart.md.
"""

import argparse
import itertools
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
EPOCHS, STEPS = 3, 300


def plain() -> None:
    """The loop, with the package's model and data alone."""
    import torch
    from torch.nn import functional as F

    from lightning_posenc.data import SyntheticData
    from lightning_posenc.model import EncoderSpec
    from lightning_posenc.modules import SequenceClassifier, WarmupCosine, parameter_groups
    from lightning_posenc.positional import LearnedAbsolute
    from lightning_posenc.tasks import PositionPattern

    torch.manual_seed(0)
    data = SyntheticData(
        PositionPattern(), train_length=32, eval_lengths=[32], batch_size=64, steps_per_epoch=STEPS
    )
    data.setup("fit")
    data.setup("test")
    spec = EncoderSpec(d_model=64, n_heads=4, n_layers=2)
    model = SequenceClassifier(spec, data.vocab_size, data.n_classes, positional=LearnedAbsolute)
    groups = parameter_groups(model, model.positional, 0.0)
    optimizer = torch.optim.AdamW(groups, lr=0.003, weight_decay=0.1, fused=True)
    schedule = WarmupCosine(optimizer, EPOCHS * STEPS)

    def accuracy(loader: Any) -> float:
        model.eval()
        with torch.inference_mode():
            right = [(model.logits(b).argmax(dim=-1) == b.targets).float() for b in loader]
        model.train()
        return float(torch.cat(right).mean())

    n_steps = 0
    for _ in range(EPOCHS):
        for batch in data.train_dataloader():  # without a trainer the same batches in each epoch
            n_steps += 1
            optimizer.zero_grad()
            F.cross_entropy(model.logits(batch), batch.targets).backward()
            optimizer.step()
            schedule.step()
        accuracy(data.val_dataloader())
    assert n_steps == EPOCHS * STEPS
    (loader,) = data.test_dataloader()
    print(accuracy(loader))


def seconds_of(command: list[str]) -> float:
    """The processor's time, which other programs disturb least."""
    before = os.times()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment)
    after = os.times()
    return after.children_user + after.children_system - sum(before[2:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="at least 2")
    parser.add_argument("--write", action="store_true", help="keep results/quickstart.md")
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.plain:
        plain()
        return
    import timing

    with TemporaryDirectory() as place:
        names = itertools.count()
        fit = [sys.executable, "-m", "lightning_posenc", "fit", "--config", "quickstart"]
        took: dict[str, list[float]] = {"fit": [], "loop": []}
        for number in range(args.rounds):
            commands = {
                "fit": [*fit, "--run_dir", f"{place}/{next(names)}"],
                "loop": [sys.executable, __file__, "--plain"],
            }
            for name in list(commands)[:: 1 if number % 2 else -1]:
                took[name].append(seconds_of(commands[name]))
            print({name: round(seconds[-1], 1) for name, seconds in took.items()}, flush=True)
    ratio = timing.ratio(took["fit"], took["loop"])
    fit_s, loop_s = (timing.milliseconds(took[name]) / 1e3 for name in ("fit", "loop"))
    text = (
        "# The quickstart as a whole process\n\n"
        f"{timing.command()}; {timing.described(timing.setting('torch', 'lightning'))}. "
        f"{' '.join((__doc__ or '').split(chr(10) * 2)[2].split())}\n\n"
        "| s, fit | s, loop | fit / loop | rounds |\n|---|---|---|---|\n"
        f"| {fit_s:.1f} | {loop_s:.1f} | {ratio} | {args.rounds} |\n"
    )
    print(text)
    if args.write:
        (timing.RESULTS / "quickstart.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
