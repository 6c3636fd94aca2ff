"""Train every encoding at one length, test it at others: the README's figure.

    python benchmarks/length_generalization.py --write

With --write it writes results/length_generalization.{md,json} and docs/length_generalization.png.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure

from lightning_posenc.cli import main as lightning_posenc

ROOT = Path(__file__).parents[1]
ENCODINGS = (
    "NoPE", "Sinusoidal", "LearnedAbsolute", "LearnedRelativeBias", "RoPE", "ALiBi", "T5Bias",
    "ShawRelative",
)  # fmt: skip
LENGTHS = (8, 16, 32, 48, 64, 96, 128)
COMMAND = (
    "fit --config configs/quickstart.yaml --model=TokenClassifier --data.task=Shift "
    "--data.task.k=3 --data.steps_per_epoch=200 --data.eval_samples=512"
)


def accuracies(encoding: str, seed: int) -> list[float]:
    with TemporaryDirectory() as directory:
        status = lightning_posenc(
            [
                *COMMAND.replace("configs/", f"{ROOT}/configs/").split(),
                f"--model.positional={encoding}",
                f"--data.eval_lengths={list(LENGTHS)}",
                f"--seed_everything={seed}",
                f"--run_dir={directory}/run",
                "--trainer.enable_model_summary=false",
            ]
        )
        if status:
            raise SystemExit(status)
        metrics = json.loads(Path(directory, "run", "summary.json").read_text())["metrics"]
    return [metrics[f"test/acc/len_{length}"] for length in LENGTHS]


def draw(found: dict[str, list[list[float]]], bounds: list[float]) -> None:
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    ax = figure.subplots()
    ax.axvline(32, color="0.8", linewidth=6, label="trained length")
    ax.plot(LENGTHS, bounds, color="0.4", linestyle=":", label="best without order")
    for marker, (encoding, runs) in zip("os^v<>DX", found.items(), strict=True):
        mean = [sum(values) / len(values) for values in zip(*runs, strict=True)]
        ax.plot(LENGTHS, mean, marker=marker, label=encoding)
    ax.set_xscale("log", base=2)
    ax.set_xticks(LENGTHS, [str(length) for length in LENGTHS])
    ax.set(xlabel="test length", ylabel="accuracy", ylim=(0, 1.05))
    ax.set_title("“Say the token three steps back”, trained at length 32")
    figure.legend(loc="outside right center")
    figure.savefig(ROOT / "docs" / "length_generalization.png", dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep results and picture")
    args = parser.parse_args()
    found = {name: [accuracies(name, seed) for seed in range(args.seeds)] for name in ENCODINGS}
    from lightning_posenc.tasks import Shift

    if args.write:
        draw(found, [Shift(k=3).bag_of_tokens_bound(length) for length in LENGTHS])
    rows = [f"| encoding | {' | '.join(map(str, LENGTHS))} |", "|---" * (len(LENGTHS) + 1) + "|"]
    for encoding, runs in found.items():
        cells = [
            f"{sum(v) / len(v):.3f} ({min(v):.3f}-{max(v):.3f})" for v in zip(*runs, strict=True)
        ]
        rows.append(f"| {encoding} | {' | '.join(cells)} |")
    text = (
        f"# Accuracy by test length, trained at 32\n\n"
        f"`python benchmarks/length_generalization.py --seeds {args.seeds} --write`, "
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, Python {platform.python_version()}. "
        f"Each cell: mean (lowest-highest) over seeds.\n\nEach run: `python -m lightning_posenc "
        f"{COMMAND} --model.positional=…`\n\n" + "\n".join(rows) + "\n"
    )
    print(text)
    if args.write:
        results = ROOT / "benchmarks" / "results"
        (results / "length_generalization.md").write_text(text)
        (results / "length_generalization.json").write_text(
            json.dumps({"lengths": LENGTHS, "accuracy": found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
