"""Does the doctor name the right ailment, and leave the healthy alone?

    python benchmarks/planted_faults.py [--seeds 10] [--first_seed 100] [--only NAME] [--write]

Small models of a task that needs order (a marker among noise; in which quarter does it stand?),
trained until they solve it. Twelve kinds of fault are planted, each under several seeds, and 40
healthy models are examined, of ten encodings and four depths. `--write` keeps the confusion table
in benchmarks/results/planted_faults.json, model by model as they are examined, and in
docs/diagnose.md. Thresholds were chosen on seeds 0 to 9; those reported start at 100.
"""

import argparse
import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from planted_models import DEPTHS, FAULTS, FRESH_DEPTH, HEALTHY, Model, sound

from lightning_posenc.diagnose.ailments import AILMENTS, Verdict, judged
from lightning_posenc.diagnose.examination import examine
from lightning_posenc.diagnose.loading import subject_of

OUT = Path(__file__).parent / "results" / "planted_faults.json"
DOCS = Path(__file__).parent.parent / "docs" / "diagnose.md"
BEGIN, END = "<!-- planted faults -->", "<!-- end of planted faults -->"


def findings(model: Model, name: str) -> dict[str, list[int]]:
    """Numbers of the ailments by verdict."""
    subject = subject_of(model.module, model.data, name, model.steps)
    found: dict[str, list[int]] = {}
    for ailment, finding in judged(examine(subject)):
        found.setdefault(finding.verdict, []).append(ailment.number)
    return found


def cases(n_seeds: int, first: int) -> Iterator[tuple[str, str, int, Callable[[], Any]]]:
    """Kind, name, seed and maker of all models."""
    for index in range(n_seeds):
        for kind, (_, plant) in FAULTS.items():
            yield "ill", kind, first + index, partial(plant, first + index)
    for number, name in enumerate(HEALTHY):
        for depth in (*DEPTHS, FRESH_DEPTH):
            yield (
                "healthy",
                f"{name}, {depth} layers",
                first + number,
                partial(sound, name, depth, first + number),
            )


def _kind(name: str) -> str:
    return "ill" if name in FAULTS else "healthy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first_seed", type=int, default=100)
    parser.add_argument("--only", default="", help="models whose kind and name hold this")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    known = {name for _, name, _, _ in cases(1, 0) if given.only not in f"{_kind(name)} {name}"}
    rows: list[dict[str, Any]] = []
    if given.only and given.write:  # the others stay as they were found
        rows = [row for row in json.loads(OUT.read_text())["models"] if row["name"] in known]
    begun = time.process_time()
    for kind, name, seed, make in cases(given.seeds, given.first_seed):
        if given.only not in f"{kind} {name}":
            continue
        start = time.process_time()
        made = make()
        model, retries = made if kind == "healthy" else (made, 0)
        row: dict[str, Any] = {"kind": kind, "name": name, "seed": seed, "retries": retries}
        if model is not None:
            row |= {"steps": model.steps, "found": findings(model, name)}
        rows.append(row | {"seconds": round(time.process_time() - start, 2)})
        found = rows[-1].get("found", {})
        ill, watch = found.get(Verdict.ILL, []), found.get(Verdict.WATCH, [])
        print(f"{name:<38}{seed:>5} {rows[-1]['seconds']:>6} s {row.get('steps', '-'):>5} steps  "
              f"ill {ill}  watch {watch}", flush=True)  # fmt: skip
        if given.write:
            OUT.write_text(json.dumps({"command": "python benchmarks/planted_faults.py --write",
                                       "models": rows}, indent=1) + "\n")  # fmt: skip
    text = table(rows)
    print(f"\n{text}\n{time.process_time() - begun:.0f} s of one core")
    if given.write:
        before, _, rest = DOCS.read_text("utf-8").partition(BEGIN)
        DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")


def table(rows: list[dict[str, Any]]) -> str:
    """The confusion table in Markdown: in how many models each ailment was called ill."""
    numbers = [ailment.number for ailment in AILMENTS]
    lines = ["| planted | right | " + " | ".join(map(str, numbers)) + " | named |"]
    lines.append("|---" * (len(numbers) + 3) + "|")
    named = total = 0
    for name, (right, _) in FAULTS.items():
        found = [row["found"].get(Verdict.ILL, []) for row in rows if row["name"] == name]
        if not found:
            continue
        counts = Counter(number for each in found for number in each)
        hits = counts[right]
        named, total = named + hits, total + len(found)
        cells = [_cell(counts[n], n == right) for n in numbers]
        lines.append(f"| {name} | {right} | {' | '.join(cells)} | {hits}/{len(found)} |")
    sound_rows = [row for row in rows if row["kind"] == "healthy" and "found" in row]
    counts = Counter(n for row in sound_rows for n in row["found"].get(Verdict.ILL, []))
    clear = sum(not row["found"].get(Verdict.ILL) for row in sound_rows)
    cells = [_cell(counts[n], False) for n in numbers]
    lines.append(f"| healthy | none | {' | '.join(cells)} | {clear}/{len(sound_rows)} clear |")
    without = sum(row["retries"] for row in rows)
    lines.append("")
    lines.append(
        f"Named {named} of {total} planted faults ({named / max(total, 1):.1%}); raised none on "
        f"{clear} of {len(sound_rows)} healthy models. {without} seeds of healthy models did not "
        "solve the task within 600 steps and were replaced by the next."
    )
    return "\n".join(lines)


def _cell(count: int, right: bool) -> str:
    return f"**{count}**" if right else str(count or "·")


if __name__ == "__main__":
    main()
