"""A finished study: three encodings on two tasks, and two runs that went wrong."""

import json
from pathlib import Path

import pytest

from tests.report.made_runs import LENGTHS, class_of, config, write

ENCODINGS = {
    "ALiBi": class_of("positional", "ALiBi"),
    "NoPE": class_of("positional", "NoPE"),
    "RoPE": class_of("positional", "RoPE", base=10000.0, scaling=None),
}
TASKS = ("Reverse", "Copy")
# Accuracy at the longest trained length by encoding and seed; longer ones follow from it.
TRAINED_ACC = {
    "NoPE": (0.50, 0.52, 0.48),
    "ALiBi": (0.90, 0.921, 0.8792),
    "RoPE": (0.95, 0.9702, 0.931),
}


def accuracies(encoding: str, seed: int) -> dict[int, float]:
    top = TRAINED_ACC[encoding][seed]
    falls = {"NoPE": 0.0, "ALiBi": 0.001, "RoPE": 0.02}[encoding]
    return {length: top - falls * max(0, length - 20) for length in LENGTHS}


def write_study(root: Path) -> Path:
    number = 0
    for task in TASKS:
        for name, encoding in ENCODINGS.items():
            for seed in range(3):
                directory = root / f"{number:03d}-{name.lower()}"
                made = config(encoding, class_of("tasks", task, n_symbols=16), seed)
                command = ["fit", "--config=c.yaml", f"--model.positional={name}"]
                write(
                    directory, made, accuracies(name, seed),
                    command=[*command, f"--data.task={task}", f"--run_dir={directory}"],
                )  # fmt: skip
                number += 1
    made = config(ENCODINGS["RoPE"], class_of("tasks", "Reverse", n_symbols=16), 3)
    write(root / "100-failed", made, {20: 0.1}, status="failed", error="OutOfMemoryError: 2 GiB")
    killed = root / "101-killed"
    killed.mkdir()
    record = {"number": 101, "command": ["fit", "--x"], "status": "killed", "error": "signal 9"}
    (killed / "trial.json").write_text(json.dumps(record))
    return root


@pytest.fixture(scope="package")
def study_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("sweep") / "length")
