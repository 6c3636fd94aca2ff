"""Run directories as `fit` leaves them, with numbers that follow from what they are told."""

import csv
import json
import math
import random
from pathlib import Path
from typing import Any

import yaml

LENGTHS = (10, 20, 30, 40)
TRAINED = {"class_path": "lightning_posenc.data.UniformLengths",
           "init_args": {"low": 1, "high": 20, "bucket": 1}}  # fmt: skip
N_LAYERS = 4


def class_of(module: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"lightning_posenc.{module}.{name}", "init_args": arguments}


def config(
    positional: dict[str, Any],
    task: dict[str, Any],
    seed: int,
    positions: dict[str, Any] | None = None,
    lr: float = 0.003,
    n_layers: int = N_LAYERS,
    train_length: Any = TRAINED,
    lengths: tuple[int, ...] = LENGTHS,
) -> dict[str, Any]:
    return {
        "seed_everything": seed,
        "trainer": {"max_epochs": 3, "logger": None, "enable_progress_bar": False},
        "model": class_of(
            "modules", "TokenClassifier",
            encoder={"d_model": 64, "n_heads": 2, "n_layers": n_layers},
            positional=positional,
            positions=positions,
            optimizer={"class_path": "torch.optim.AdamW", "init_args": {"lr": lr}},
        ),
        "data": class_of(
            "data", "SyntheticData", task=task, train_length=train_length,
            eval_lengths=list(lengths), seed=0,
        ),
        "test_after_fit": True,
    }  # fmt: skip


def write(
    directory: Path,
    made: dict[str, Any],
    acc: dict[int, float],
    status: str = "finished",
    command: list[str] | None = None,
    diagnostics: bool = True,
    **more: Any,
) -> Path:
    """Write a run whose test accuracies by length are given; the rest is made up from the seed."""
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(
        "# lightning.pytorch==2.6.6\n" + yaml.safe_dump(made, sort_keys=False)
    )
    seed = made["seed_everything"]
    positional = made["model"]["init_args"]["positional"]["class_path"].rpartition(".")[2]
    metrics = {f"test/acc/len_{length}": value for length, value in acc.items()}
    metrics |= {f"test/loss/len_{length}": 1.5 * (1 - value) for length, value in acc.items()}
    last = max(acc.values(), default=0.0)
    metrics |= {"val/acc": last, "val/loss": 1.5 * (1 - last)}
    summary = {
        "status": status,
        "command": command,
        "metrics": metrics,
        "seconds": 12.5,
        "steps": 3000,
        "seed": seed,
        "parameters": 200_000 + len(positional),
        "positional_parameters": 10 * len(positional),
        "seconds_per_step": 0.01 + 0.0005 * len(positional) + 1e-5 * seed,
        "peak_memory_mb": 400.0 + len(positional),
        "peak_memory_of": "process",
        "train_seconds": 36.0,
        "train_tokens": 6_000_000,
        "train_flops": 3.2e12,
        "train_joules": 7200.0,
        "device": "cpu, 1 threads",
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "git": "0" * 40,
    } | more  # fmt: skip
    (directory / "summary.json").write_text(json.dumps(summary))
    _write_history(directory, random.Random(f"{positional} {seed}"), last, made, diagnostics)
    return directory


def _write_history(
    directory: Path, noise: random.Random, last: float, made: dict[str, Any], diagnostics: bool
) -> None:
    n_layers = made["model"]["init_args"]["encoder"]["n_layers"]
    positional = made["model"]["init_args"]["positional"]["class_path"].rpartition(".")[2]
    speed = 300 + 60 * len(positional)
    rows: list[dict[str, float]] = []
    for step in range(100, 3001, 100):
        rows.append({"step": step - 1, "train/loss": 1.5 * math.exp(-step / speed)})
        if step % 200 == 0:
            acc = last * (1 - math.exp(-step / speed)) + noise.uniform(-0.02, 0.02)
            rows.append({"step": step - 1, "val/acc": acc, "val/loss": 1.5 * (1 - acc)})
        if diagnostics and step % 1000 == 0:
            probed: dict[str, float] = {"step": step}
            for layer in range(n_layers):
                key = f"layer_{layer:02d}"
                for head in range(2):
                    probed[f"attn/entropy/{key}/head_{head}"] = (
                        3 - 0.2 * layer * len(positional) / 8 + noise.uniform(-0.1, 0.1) + head
                    )
                probed[f"pos_grad/{key}/residual"] = 10 ** (-layer + noise.uniform(-0.2, 0.2))
            for layer in range(n_layers + 1):
                key = f"layer_{layer:02d}"
                probed[f"rank/residual/{key}"] = 0.95 ** (layer * len(positional) / 4)
                probed[f"probe/mae/{key}"] = 0.25 * math.exp(-layer) + noise.uniform(0, 0.02)
            rows.append(probed)
    columns = sorted({key for row in rows for key in row})
    with (directory / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
