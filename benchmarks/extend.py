"""Does `extend` give the published order on a model that the product itself has trained?

    python benchmarks/extend.py --write

A Llama of 4 layers is trained on 256 tokens of Python's own documentation, saved as a Hugging Face
folder, and extended to 2048 on documents that it has not read. Published: the unchanged model
breaks beyond its trained length; without training NTK-aware and YaRN hold better than position
interpolation (2309.00071), which recovers after a short training (2306.15595). With --write the
page and its records are kept in results/extend/llama-256/. With --work DIR the model and the study
lie there, and what an earlier start has done is not done again.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timing
from extend_texts import docstrings, topics

TRAINED, TO = 256, 2048
PIECES = 512
HELD_OUT = 6  # one document of so many is read by nobody before the study
RATE = 0.01  # of the adapters: 0.001 is too little for a small model and few steps
METHODS = (
    "pi,abf,ntk,dynamic,by-parts,yarn,llama3,clipped,drope,rerope,self-extend,dual-chunk,window,"
    "window-sinks"
)
KEPT = timing.RESULTS / "extend" / "llama-256"


def write_texts(folder: Path) -> tuple[Path, list[Path]]:
    """Python's topics and its library's docstrings: a text to train on, and two held out, apart."""
    texts: dict[str, list[str]] = {"train": [], "topics": [], "docstrings": []}
    for held_out, documents in (("topics", topics()), ("docstrings", docstrings())):
        for i, document in enumerate(documents):
            texts["train" if i % HELD_OUT else held_out].append(document)
    files = {name: folder / f"{name}.txt" for name in texts}
    for name, parts in texts.items():
        files[name].write_text("\n\n".join(parts), "utf-8")
    return files["train"], [files["topics"], files["docstrings"]]


def write_untrained(folder: Path, text: Path) -> None:
    """A Llama with random weights, and byte pairs of a text, as a Hugging Face folder."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from lightning_posenc.data.text.byte_pairs import train_bpe

    pieces = Tokenizer.from_str(train_bpe([text.read_text("utf-8")], PIECES))
    PreTrainedTokenizerFast(tokenizer_object=pieces).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=PIECES, hidden_size=128, intermediate_size=344, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=TRAINED,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)


def train(folder: Path, text: Path, steps: int) -> dict[str, float]:
    """Train the model of a folder on all its weights, and put it back."""
    from functools import partial

    import lightning as L
    import torch

    from lightning_posenc.data.text.language import TextData
    from lightning_posenc.pretrained.adapting import PretrainedLanguageModel

    L.seed_everything(0, verbose=False)
    model = PretrainedLanguageModel(
        str(folder), trains="all", optimizer=partial(torch.optim.AdamW, lr=2e-3)
    )
    data = TextData(
        path=str(text), vocabulary=str(folder / "tokenizer.json"), train_length=TRAINED,
        batch_size=8, steps_per_epoch=steps,
    )  # fmt: skip
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", gradient_clip_val=1.0, logger=False,
        enable_checkpointing=False, enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(model, data)
    model.pretrained.model.save_pretrained(folder)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def extend(folder: Path, text: Path, held_out: list[Path], out: Path, finetune: int) -> None:
    """The command, as a person types it."""
    from lightning_posenc.cli import main

    arguments = [
        "extend", "--hf", str(folder), "--text", *map(str, held_out), "--to", str(TO),
        "--methods", METHODS, "--sequences", "8", "--passkeys", "0", "--orders", "0",
        "--finetune", str(finetune), "--rate", str(RATE), "--method", "pi",
        "--train_text", str(text), "--device", "cpu", "--out", str(out),
    ]  # fmt: skip
    if main(arguments) != 0:
        raise SystemExit("extend failed")


def claims(out: Path, finetuned: str) -> Iterator[tuple[str, float, float, float]]:
    """What is published, and the interval of the difference that says so where it lies below 0."""
    from lightning_posenc.extend.results import MethodRow, take_up

    rows: dict[str, MethodRow] = {}
    for place in sorted((out / "cells").rglob("*.json")):
        record = json.loads(place.read_text("utf-8"))
        row = rows.setdefault(record["method"], MethodRow(record["method"]))
        take_up(row, record["test"], record)

    def below(lower: str, at: int, higher: str, at_other: int) -> tuple[float, float, float]:
        one, other = rows[lower].losses(at), rows[higher].losses(at_other)
        assert one is not None
        assert other is not None
        mean, low, high = one.over(other)
        return mean, low, high

    short, long = (rows["unchanged"].losses(n) for n in (TRAINED, TO))
    assert short is not None
    assert long is not None
    one, other = short.interval(), long.interval()  # of different tokens: not paired
    breaks = one.mean - other.mean, one.low - other.high, one.high - other.low
    yield f"unchanged reads {TRAINED} tokens better than {TO}", *breaks
    for name in ("ntk", "yarn"):
        yield f"{name} holds better than pi at {TO}", *below(name, TO, "pi", TO)
        yield f"{name} holds better than unchanged at {TO}", *below(name, TO, "unchanged", TO)
    yield f"pi recovers by training at {TO}", *below(finetuned, TO, "pi", TO)
    yield f"pi recovers to below unchanged at {TO}", *below(finetuned, TO, "unchanged", TO)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600, help="of training at 256 tokens")
    parser.add_argument("--finetune", type=int, default=200, help="steps of LoRA on pi")
    parser.add_argument("--work", type=Path, help="where the model and the study are kept")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    timing.silence()
    with TemporaryDirectory() as directory:
        work = given.work or Path(directory)
        work.mkdir(parents=True, exist_ok=True)
        folder, out = work / "llama-256", work / "study"
        text, held_out = write_texts(work)
        clock = Clock(work / "seconds.json")
        if "training" not in clock.seconds:
            write_untrained(folder, text)
            trained = train(folder, text, given.steps)
            clock.lap("training", trained)
        extend(folder, text, held_out, out, given.finetune)
        clock.lap("extend")
        rows = [
            {"claim": claim, "difference": difference, "low": low, "high": high, "holds": high < 0}
            for claim, difference, low, high in claims(
                out, f"pi + {given.finetune} steps at {RATE}"
            )
        ]
        for row in rows:
            print(
                f"{'yes' if row['holds'] else 'NO '}  {row['claim']}: {row['difference']:+.3f} "
                f"({row['low']:+.3f} to {row['high']:+.3f})"
            )
        for name, lap in clock.seconds.items():
            print(f"{name}: {lap['wall']:.0f} s, of them {lap['processor']:.0f} of the processor")
        if given.write:
            keep(out, rows, clock.seconds)
    sys.exit(not all(row["holds"] for row in rows))


class Clock:
    """Seconds of each part of the work, by the clock and of the processor, kept over starts.

    Args:
        place: A file of JSON; what an earlier start took is added to.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.seconds = json.loads(place.read_text("utf-8")) if place.exists() else {}
        self._began = self._now()

    def lap(self, name: str, figures: dict[str, float] | None = None) -> None:
        """Add what went by since the last lap, and what came out, to a part."""
        now, before = self._now(), self.seconds.get(name, {})
        for kind, began in self._began.items():
            before[kind] = round(before.get(kind, 0) + now[kind] - began, 1)
        self.seconds[name] = {**before, **(figures or {})}
        self._began = now
        self.place.write_text(json.dumps(self.seconds), "utf-8")

    @staticmethod
    def _now() -> dict[str, float]:
        return {"wall": time.perf_counter(), "processor": time.process_time()}


def keep(out: Path, rows: list[Any], seconds: dict[str, dict[str, float]]) -> None:
    shutil.rmtree(KEPT, ignore_errors=True)
    shutil.copytree(out, KEPT, ignore=shutil.ignore_patterns("weights"))
    setting = timing.setting("torch", "transformers", "peft")
    timing.write(
        KEPT / "claims.json",
        {"setting": setting, "command": timing.command(), "parts": seconds, "claims": rows},
    )  # fmt: skip


if __name__ == "__main__":
    main()
