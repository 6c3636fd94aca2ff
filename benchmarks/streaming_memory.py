"""Peak memory of streaming a text file, and whether it grows with the file.

    python benchmarks/streaming_memory.py --megabytes 100 1000

For each size it writes a file of that size (in a temporary folder, deleted afterwards) and streams
it in fresh processes: one that only imports what the others do, one that takes a fixed number of
batches, and one that takes a full pass. It prints their peak resident memory.
"""

import argparse
import itertools
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

LENGTH, BATCH, BATCHES, BUFFER = 128, 32, 500, 1000
WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "it",
    "was",
    "for",
    "on",
    "are",
    "as",
    "with",
    "his",
    "they",
    "at",
    "be",
    "this",
    "from",
]


def write(file: Path, megabytes: int) -> None:
    """Lines of a few words at random, as many megabytes as asked for."""
    draw = random.Random(0)
    lines = [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) + "\n" for _ in range(20_000)]
    with file.open("w", encoding="utf-8") as out:
        written = 0
        while written < megabytes * 10**6:
            draw.shuffle(lines)
            written += out.write("".join(lines))


def stream(path: str, what: str) -> None:
    """Print the peak of this process in MB, its seconds, and how many tokens it read."""
    from lightning_posenc.data import TextData

    tokens, start = 0, time.perf_counter()
    if what != "import":
        n_batches = BATCHES
        if what == "pass":
            n_batches = (os.path.getsize(path) - 10**5) // (LENGTH * BATCH)
        data = TextData(
            path,
            streaming=True,
            train_length=LENGTH,
            batch_size=BATCH,
            steps_per_epoch=n_batches,
            shuffle_buffer=BUFFER,
        )
        data.prepare_data()
        data.setup()
        for batch in itertools.islice(iter(data.train_dataloader()), n_batches):
            tokens += batch.tokens.numel()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(peak, time.perf_counter() - start, tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--stream", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stream:
        stream(*arguments.stream)
        return
    print("| file | what | peak RSS | tokens | seconds |\n|---|---|---|---|---|")
    for megabytes in arguments.megabytes:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "text.txt"
            write(file, megabytes)
            environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HOME": f"{folder}/hf"}
            for what in ("import", "batches", "pass"):
                command = [sys.executable, __file__, "--stream", str(file), what]
                done = subprocess.run(
                    command, env=environment, check=True, stdout=subprocess.PIPE, text=True
                )
                peak, seconds, tokens = map(float, done.stdout.split())
                size = f"{file.stat().st_size / 1e6:.0f} MB"
                print(f"| {size} | {what} | {peak:.0f} MB | {tokens:.3g} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
