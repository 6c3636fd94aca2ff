"""What share of a fit's time goes into waiting for the next batch?

    python benchmarks/loader.py [--steps 200] [--only quickstart] [--write]

Every shipped config, with its own batch size, length and model, one thread and no worker process;
validation and loggers are off. Lightning's SimpleProfiler times
`train_dataloader_next` and `run_training_batch`; the share is the first over the sum of both, in
wall time. Files that a config wants are made up here: text of random words, and one file streamed.
`--write` keeps results/loader.md and loader.json.
"""

import argparse
import contextlib
import io
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timing
import torch

from lightning_posenc.cli import main as command

OUT = timing.RESULTS / "loader.json"
CONFIGS = Path(__file__).parents[1] / "configs"
WAIT, STEP = "[_TrainingEpochLoop].train_dataloader_next", "run_training_batch"
AT_MOST = {"quickstart": 0.02}
STREAMED = "shakespeare_char, streaming"
PACKAGES = ("torch", "lightning", "datasets")


def words(draw: random.Random, n: int) -> list[str]:
    return ["".join(draw.choices("etaoinshrdlu", k=draw.randint(1, 9))) for _ in range(n)]


def made_up(folder: Path) -> dict[str, list[str]]:
    """Options of the configs that want a file: about 1 MB of text, 2000 sentences, 2000 texts."""
    draw = random.Random(0)
    text, tagged, texts = (folder / name for name in ("text.txt", "train.conll", "texts.csv"))
    text.write_text("\n".join(" ".join(words(draw, 12)) for _ in range(15_000)))
    sentences = (words(draw, draw.randint(3, 40)) for _ in range(2000))
    tagged.write_text(
        "\n\n".join("\n".join(f"{w} {w[0]}" for w in sentence) for sentence in sentences)
    )
    rows = (f"{' '.join(words(draw, 40))},{draw.randint(0, 3)}" for _ in range(2000))
    texts.write_text("\n".join(["text,label", *rows]))
    return {
        "shakespeare_char": [f"--data.path={text}"],
        STREAMED: [f"--data.path={text}", "--data.streaming=true", "--data.vocabulary=bytes"],
        "tagging": [f"--data.path={tagged}"],
        "text_classification": [f"--data.path={texts}"],
    }


def profiled(config: Path, options: list[str], n_steps: int, folder: Path) -> dict[str, float]:
    """Milliseconds of waiting for a batch and of training on it, means of a fit."""
    arguments = [
        "fit",
        f"--config={config}",
        f"--run_dir={folder / 'run'}",
        f"--trainer.max_steps={n_steps}",
        "--trainer.max_epochs=-1",
        "--trainer.limit_val_batches=0",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        "--trainer.logger=false",
        "--test_after_fit=false",
        "--trainer.profiler=lightning.pytorch.profilers.SimpleProfiler",
        f"--trainer.profiler.dirpath={folder}",
        "--trainer.profiler.filename=profile",
        *options,
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        if command(arguments):
            raise RuntimeError(f"the fit of {config.name} failed")
    mean = {}
    for line in (folder / "fit-profile.txt").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 2 and cells[1] in (WAIT, STEP):
            mean[cells[1]] = 1e3 * float(cells[2])
    return {"wait": mean[WAIT], "step": mean[STEP]}


def measure(name: str, options: list[str], n_steps: int, n_rounds: int) -> dict[str, Any]:
    """The row of a config: the round with the median share."""
    found = []
    for _ in range(n_rounds):
        with TemporaryDirectory() as folder:
            config = CONFIGS / f"{name.split(',')[0]}.yaml"
            times = profiled(config, options, n_steps, Path(folder))
        found.append(times | {"share": times["wait"] / (times["wait"] + times["step"])})
    found.sort(key=lambda times: times["share"])
    return {
        **found[len(found) // 2],
        "shares": [times["share"] for times in found],
        "steps": n_steps,
        **timing.setting(*PACKAGES),
    }


def page(rows: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# Waiting for the next batch",
        "",
        f"{timing.command()}; {timing.described(timing.setting(*PACKAGES))}; one thread.",
        "",
        (__doc__ or "").split("\n\n")[2].strip(),
        "",
        "| config | wait (ms) | training on it (ms) | share of waiting (of all rounds) | at most |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        most = AT_MOST.get(name)
        verdict = "" if most is None else f"{most:.0%}{'' if row['share'] <= most else ' exceeded'}"
        spread = f"{min(row['shares']):.2%}-{max(row['shares']):.2%}"
        lines.append(
            f"| {name} | {row['wait']:.2f} | {row['step']:.1f} | {row['share']:.2%} ({spread}) "
            f"| {verdict} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="fits of each config")
    parser.add_argument("--only", nargs="*", help="names of configs")
    parser.add_argument("--write", action="store_true", help=f"keep results/{OUT.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    timing.silence()
    rows = timing.read(OUT) if args.write else {}
    names = args.only or [*sorted(path.stem for path in CONFIGS.glob("*.yaml")), STREAMED]
    with TemporaryDirectory() as folder:
        options = made_up(Path(folder))
        for name in names:
            rows[name] = measure(name, options.get(name, []), args.steps, args.rounds)
            print(f"{name:32}{rows[name]['share']:8.2%}", flush=True)
            if args.write:
                timing.write(OUT, rows, page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
